"""Asking a server of models: one request after the other (`run`) or in batches (`submit`, `poll`, `fetch`).

client    the server and its key: the SDK behind them, errors in words, the key taken out of what is stored
policy    what a failed attempt means: ask again and when, give up, stop everything
rate      requests and tokens a minute
plan      which requests are to be asked, and their bodies
paid      which answers were paid for already
journal   the answer files that `run` writes
running   what `run` does
calls     one call after the other, repeated where that may help
state     how far the submission of a request file is
batches   what `submit`, `poll` and `fetch` do
locking   one at a time
"""
