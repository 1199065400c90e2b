"""Releases on the Hugging Face Hub: a new version as one commit and a tag, and its checksums.

access    a dataset repository: calls that are repeated while that helps, refusals as sentences
cli       `rs-gpt4v push` and `rs-gpt4v verify`
loading   a script of its own process: a release as `datasets` sees it, from an empty cache
number    whether the number of a version says what changed
plan      what a push would do, and what forbids it
push      doing it
text      a plan and its outcome, for people and for programs
validate  what is proved of a release before anything is sent
verify    a repository's files against a manifest
"""
