"""The GPT-4V stage: a model of vision and language is asked about images, and its answers become conversations.

    sources ─ subjects ─> Subject ─ render ─> messages ─ export ─> requests/<stage>-00001.jsonl and their index
    answer files ─ import ─> answers/ (verbatim) ─ read, check ─> ledger ─ compile ─> Annotations of the build

records       what flows between the parts: stages, facts, requests, outcomes
schemas       the form of an answer, stage by stage: sent with a request and checked on import
live          a server is asked, one request after the other or in batches: run, submit, poll, fetch
workspace     the folder of requests and answers: which file lies where
"""
