"""A stand-in for OpenAI's server: the endpoints of the GPT-4V stage, answered without a model or a key.

`python -m rs_gpt4v_conversion.gpt4v.stub` serves it, so that the whole stage can be tried; tests use `StubServer`.

server      connections and the manner of sending
api         endpoints
files       uploaded files
batches     batches by elapsed time
lines       lines of request and answer files
completing  bodies of answers
asking      what a request asks
noting      the facts in its text
answering   the words of an answer, by stage
seeing      of the stages local, global and detail
talking     of the stage conversation
thinking    of the stages reasoning and planning
viewing     what these three start from: facts, and choices by a hash
phrases     words for facts
faults      what goes wrong
counting    what is counted
rate        the server's own rate limit
"""
