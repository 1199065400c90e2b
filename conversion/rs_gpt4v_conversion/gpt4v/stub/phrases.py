"""Words for facts: grammatical, and saying no more than the facts bear out."""

import re
from collections.abc import Sequence
from typing import TypeVar

from rs_gpt4v_conversion.gpt4v.asking.describing import Line, Named
from rs_gpt4v_conversion.gpt4v.stub.faults import share_of
from rs_gpt4v_conversion.templates.words import plural, with_article

T = TypeVar("T")

_NUMERALS = ("no", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten")
_CRAFT = frozenset(
    {
        "ship", "boat", "ferry", "warcraft", "yacht", "submarine", "carrier", "motorboat", "sailboat",
        "tugboat", "hovercraft",
    }
)  # fmt: skip
_FLYING = frozenset({"airplane", "plane", "aircraft", "helicopter"})
_ROLLING = frozenset(
    {
        "car", "vehicle", "truck", "bus", "van", "trailer", "tractor", "bicycle", "motorbike", "tricycle",
        "excavator", "train",
    }
)  # fmt: skip

_COLOURS = {
    "craft": ("white", "grey", "dark grey", "white and red", "dark blue"),
    "flying": ("white", "light grey", "white with a dark tail"),
    "rolling": ("white", "dark grey", "red", "blue", "silver"),
    "fixed": ("light grey", "brown", "grey", "green and grey"),
}
_STATES = {
    "craft": ("at rest", "lying still"),
    "flying": ("parked", "standing still"),
    "rolling": ("parked", "standing still"),
    "fixed": ("in use", "intact", "well kept"),
}
_GROUND = {
    "craft": "a stretch of water",
    "flying": "a paved apron",
    "rolling": "paved ground",
    "fixed": "built-up land",
    "person": "open ground",
}


def family(category: str) -> str:
    """`craft`, `flying`, `rolling`, `person` or `fixed`: how words speak of it."""
    words = category.split()
    if "person" in words or "people" in words or "pedestrian" in words:
        return "person"
    for name, some in (("craft", _CRAFT), ("flying", _FLYING), ("rolling", _ROLLING)):
        if words and words[-1] in some:
            return name
    return "flying" if words and words[0] in ("boeing", "airbus", "comac") else "fixed"


def ground(category: str) -> str:
    """On what things of a category are: `a stretch of water`."""
    return _GROUND[family(category)]


def colour(line: Line, key: str) -> str | None:
    """A colour for an object by hash of a key, or None where one sees none."""
    return _drawn(_COLOURS.get(family(line.category), ()), key, line.number, "colour")


def state(line: Line, key: str) -> str | None:
    """What an object does, likewise."""
    return _drawn(_STATES.get(family(line.category), ()), key, line.number, "state")


def _drawn(options: Sequence[str], *keys: object) -> str | None:
    place = int(share_of(*keys) * (len(options) + 1))
    return options[place] if place < len(options) else None


def place(part: str) -> str:
    """A part of the image in a sentence: `at the top left`."""
    if part == "center":
        return "in the center"
    return f"on the {part}" if part in ("left", "right") else f"at the {part}"


def one(category: str) -> str:
    """A single thing: `a ship`."""
    if category.startswith("other "):
        return f"{with_article(category.removeprefix('other '))} of another kind"
    return with_article(category)


def amount(category: str, count: int, exact: bool) -> str:
    """So many things: `three ships`; without a certain number `several cars`."""
    if exact:
        return f"{numeral(count)} {category if count == 1 else plural(category)}"
    return one(category) if count == 1 else f"several {plural(category)}"


def numeral(count: int) -> str:
    """A number in a sentence: as a word up to ten."""
    return _NUMERALS[count] if count < len(_NUMERALS) else str(count)


def exist(category: str, count: int, exact: bool) -> str:
    """A sentence that says how many there are."""
    return f"There {'is' if count == 1 else 'are'} {amount(category, count, exact)}."


def beside(neighbour: Named) -> str:
    """A relation before a noun: `to the left of`."""
    near, _, rest = neighbour.relation.rpartition(", ")
    if near:
        return near
    match = re.fullmatch(r"(above |below )?(left|right) of", rest)
    if match:
        return f"{match[1].strip()} and to the {match[2]} of" if match[1] else f"to the {match[2]} of"
    return {"containing": "around", "overlapping": "across"}.get(rest, rest)


def sized(line: Line) -> str:
    """The object with its size class: `a small ship`."""
    size = line.size.partition(",")[0]
    if family(line.category) == "person" or line.category.split()[0] in ("small", "large", "other"):
        return one(line.category)
    return with_article(f"{'medium-sized' if size == 'medium' else size} {line.category}")


def axis(box: Sequence[float], aspect: float) -> str:
    """How a box lies, as an ending of a sentence about it.

    Args:
        box: Four or eight shares of width and height.
        aspect: Width by height of the image.
    """
    if len(box) == 8:
        points = [(x * aspect, y) for x, y in zip(box[0::2], box[1::2], strict=True)]
        sides = [(points[1][0] - points[0][0], points[1][1] - points[0][1]),
                 (points[2][0] - points[1][0], points[2][1] - points[1][1])]  # fmt: skip
        long, short = sorted(sides, key=lambda s: -(s[0] ** 2 + s[1] ** 2))
    else:
        w, h = (box[2] - box[0]) * aspect, box[3] - box[1]
        long, short = ((w, 0.0), (0.0, h)) if w >= h else ((0.0, h), (w, 0.0))
    if long[0] ** 2 + long[1] ** 2 < 1.7 * (short[0] ** 2 + short[1] ** 2):
        return "with a compact outline"
    if abs(long[0]) > 2 * abs(long[1]):
        return "with its long side running from left to right"
    if abs(long[1]) > 2 * abs(long[0]):
        return "with its long side running from top to bottom"
    down = "upper left to the lower right" if long[0] * long[1] > 0 else "lower left to the upper right"
    return f"with its long side running from the {down}"


def joined(words: Sequence[str]) -> str:
    """`a, b and c`."""
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} and {words[-1]}"


def capital(text: str) -> str:
    """With a capital letter at its beginning."""
    return text[:1].upper() + text[1:]
