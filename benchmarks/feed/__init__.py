"""What the benchmarks of reading share: the data they draw, the readers they compare, and how they measure.

    data          draws images and conversations, and writes them as single files
    containers    the same samples as a release, as Parquet, tar, MDS and litdata
    environments  the Pythons that the cases run in, and how to make them
    case          one case in a process of its own: a JSON object in, a JSON object out
    meter         CPU time, memory and reads from disk of all processes of a case; the page cache
    readers       every reader behind one face: open a container, give batches, save and load a state
    epochs        cases of feeding.py: epochs timed, of bytes and of LLaVA batches
    resuming      cases of guarantees.py: order, kill and resume, opening
    server        a slow HTTP server that also answers as much of S3 as reading takes
    tables        Markdown

Each case imports its own reader only, so that every environment needs no more than its own libraries.
"""
