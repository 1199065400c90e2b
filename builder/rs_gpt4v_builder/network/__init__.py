"""A release over a network: byte ranges with retries, blocks of neighbouring rows, what is fetched ahead.

lifetime    threads that end when the process does
retry       trying again where a network fails for a moment
web         byte ranges over HTTP
remote      the files of a release, by byte range
shelf       what was fetched and may be asked for again
grouptext   the texts of a remote release, row group by row group
blocks      blocks of neighbouring rows, and the order of an epoch that needs few of them at a time
blockcache  blocks of images on the disk
blockread   reading blocks
ahead       rows that will be needed, fetched before they are
access      what a remote release has beside its files
"""
