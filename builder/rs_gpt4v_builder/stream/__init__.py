"""The samples of an epoch: an exact order known ahead, shares of ranks and workers, `Stream` and its state.

order     permutations that are computed at any position
mix       weighted mixes of tasks and sources
samples   rows, parts of rows or single dialogues as samples
blockmix  weighted mixes of a remote release
netorder  the order of a remote stream
share     a rank's part of the rest of an epoch
stream    Stream: the samples of an epoch, in an exact order, with a state
"""
