"""The GPT-4V stage: a model of vision and language is asked about images, and its answers become conversations.

    sources ─ subjects ─> Subject ─ render ─> messages ─ export ─> requests/<stage>-00001.jsonl and their index
    answer files ─ import ─> answers/ (verbatim) ─ read, check ─> ledger ─ compile ─> Annotations of the build

In the order in which they may know of each other:

records    what flows between the rooms: stages, facts, requests, outcomes
schemas    the form of an answer, stage by stage: sent with a request and checked on import
listing    which objects of an image a question lists, and what their numbers mean
workspace  the folder of requests and answers: which file lies where

asking     from the images of a source to files of requests, and what they cost
prompts    the prompt of each stage, and how it is filled in
checks     what an answer says, held against the annotations and against itself
answers    files of answers are read and judged, and become annotations
live       a server is asked, one request after the other or in batches
commands   the commands of `rs-gpt4v gpt4v`, a module each; cli puts them together
stub       a stand-in for the server, and for the model behind it
"""
