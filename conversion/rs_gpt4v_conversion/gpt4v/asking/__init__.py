"""Asking: from the images of a source to files of requests, and what they cost.

subjects    the images of a source that can be asked about, with what is known of each
neighbours  how objects lie to those nearest to them
describing  what is known of an image as the text of a question, and back
requests    one request: its body, its id, its line
parts       request files: split by number and bytes, there only when they are whole
exporting   from subjects to request files, and later rounds
tokens      how many tokens a request will be billed for
costs       what requests will cost and answers did, by prices.yaml
"""
