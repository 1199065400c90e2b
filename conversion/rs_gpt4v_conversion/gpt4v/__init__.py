"""The GPT-4V stage: a model of vision and language is asked about images, and its answers become conversations.

    sources ─ subjects ─> Subject ─ render ─> messages ─ export ─> requests/<stage>-00001.jsonl and their index
    answer files ─ import ─> answers/ (verbatim) ─ read, check ─> ledger ─ compile ─> Annotations of the build

records       what flows between the parts: stages, facts, requests, outcomes
schemas       the form of an answer, stage by stage: sent with a request and checked on import
listing       which objects of an image a question lists, and what their numbers mean
facts         facts as a line of JSON, and back
subjects      the images of a source that can be asked about, with what is known of each
neighbours    how objects lie to those nearest to them
describing    what is known of an image as the text of a question, and back
prompts       the prompt of each stage, and how it is filled in
live          a server is asked, one request after the other or in batches: run, submit, poll, fetch
workspace     the folder of requests and answers: which file lies where
requests      one request: its body, its id, its line
parts         request files: split by number and bytes, there only when they are whole
exporting     from subjects to request files, and later rounds
tokens        how many tokens a request will be billed for
costs         what requests will cost and answers did, by prices.yaml
"""
