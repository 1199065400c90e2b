"""Which of several drawn objects is meant, in words: a sentence that is true of one object and of no other."""

from collections.abc import Sequence

from rs_gpt4v_conversion.geometry import cell
from rs_gpt4v_conversion.records import BBox
from rs_gpt4v_conversion.sample.field import Field, Marked, draw_field
from rs_gpt4v_conversion.sample.layout import chance
from rs_gpt4v_conversion.templates.words import plural, with_article

PLACES = (
    ("in the upper left", "at the top", "in the upper right"),
    ("on the left", "in the middle", "on the right"),
    ("in the lower left", "at the bottom", "in the lower right"),
)
"""The ninths of a picture, by row and column."""

ORDINALS = ("first", "second", "third", "fourth", "fifth", "sixth", "seventh")

BEYOND = 60
"""Pixels that a picture is drawn wider than it is, where something is to be cut by its edge."""

TRIES = 40


def expressions(words: Sequence[str], boxes: Sequence[BBox], width: int, height: int) -> list[str]:
    """One expression an object: what it is, where, and which of several, from the left.

    Args:
        words: What each object is called.
        boxes: Where it is, pixels.
        width: Of the picture.
        height: Of the picture.
    """
    places = [_place(box, width, height) for box in boxes]
    found = []
    for word, place, box in zip(words, places, boxes, strict=True):
        group = [b for w, p, b in zip(words, places, boxes, strict=True) if (w, p) == (word, place)]
        if len(group) == 1:
            found.append(f"{with_article(word)} {place}")
        else:
            rank = sorted(group).index(box)
            found.append(f"the {ORDINALS[rank]} from the left of the {len(group)} {plural(word)} {place}")
    return found


def _place(box: BBox, width: int, height: int) -> str:
    row, column = cell(box, width, height)
    return PLACES[row][column]


def cut_field(seed: int, stream: str, number: int, side: int, kinds: Sequence[str]) -> Field:
    """A square picture of which one object is cut by the right edge, so that its box reaches beyond.

    Args:
        seed: The sample's.
        stream: Name of the source.
        number: The picture's.
        side: Pixels.
        kinds: Of field.py's.
    """
    for attempt in range(TRIES):
        field = draw_field(chance(seed, f"{stream} cut {attempt}", number), side + BEYOND, side, kinds)
        inside = tuple(o for o in field.objects if o.bbox[0] < side - 20)
        if any(_cut(o, side) for o in inside):
            break
    return Field(image=field.image.crop((0, 0, side, side)), objects=inside)


def _cut(thing: Marked, side: int) -> bool:
    return thing.bbox[2] > side + 1.5
