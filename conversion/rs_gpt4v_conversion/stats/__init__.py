"""What a release is made of, how long its texts are, what can be guessed without looking, and how large its boxes are.

    from rs_gpt4v_conversion.release import ReleaseFolder
    from rs_gpt4v_conversion.stats import as_text, gather

    print(as_text(gather(ReleaseFolder(Path("rs-gpt4v")))))

Each topic is a module with a counter that sees all rows, some thousand at a time and never an image: `composition`,
`lengths`, `answers`, `objects`, `box_text`. The dataclasses of their results name the keys of the JSON and say what
each means. Memory does not grow with the release, but for some bytes an image; counts are exact, but where `answers`
says otherwise.
"""

from rs_gpt4v_conversion.stats._gather import Stats, as_json, gather
from rs_gpt4v_conversion.stats._page import write_page
from rs_gpt4v_conversion.stats._text import as_text

__all__ = ["Stats", "as_json", "as_text", "gather", "write_page"]
