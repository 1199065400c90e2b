"""Makes releases of RS-GPT4V: source folders in, a release folder out.

    read (sources/) -> ask (scenes, tiles) -> adapt (templates/, verify) -> spool -> shards -> index, quality, card
    -> manifest

Each stage takes the records of the one before (records.py) and knows nothing of the one after.
"""
