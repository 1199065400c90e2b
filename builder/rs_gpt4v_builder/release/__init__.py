"""A release as a random-access store: files, where each row lies, texts, `Release` and its `Rows`.

store     the files of a release, by byte range
parquet   column chunks of a file through a store
arrow     Arrow arrays as numpy arrays and back
cachedir  where a reader keeps what it made of a release
index     where every row lies
texts     the texts of the rows, in any order
textfile  texts of a shard as they are made ready, on the disk
groups    images that are no byte ranges
release   Release and its Rows: a sequence without a copy of the data
"""
