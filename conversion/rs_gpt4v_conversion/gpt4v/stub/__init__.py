"""A stand-in for OpenAI's server: the endpoints of the GPT-4V stage, answered without a model or a key.

`python -m rs_gpt4v_conversion.gpt4v.stub` serves it, so that the whole stage can be tried; tests use `StubServer`.

    server.py     connections and the manner of sending     api.py        endpoints
    batches.py    batches by elapsed time                   files.py      uploaded files
    lines.py      lines of request and answer files         completing.py bodies of answers
    asking.py     what a request asks                       noting.py     the facts in its text
    answering.py  the words of an answer, by stage: seeing.py, talking.py, thinking.py; viewing.py and phrases.py
                  are what these share
    faults.py     what goes wrong                           counting.py   what is counted
    rate.py       the server's own rate limit
"""
