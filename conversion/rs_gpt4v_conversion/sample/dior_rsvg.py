"""DIOR-RSVG: pictures of DIOR's size, an annotation file each, and the authors' lists of numbers of expressions.

Its flaws: an object without an area, one without an expression, one that its image's edge cuts, and an element more
than the usual ones in some objects.
"""

import math
from dataclasses import dataclass
from pathlib import Path
from xml.sax.saxutils import escape

from rs_gpt4v_conversion.sample.expressions import cut_field, expressions
from rs_gpt4v_conversion.sample.field import Field, draw_field
from rs_gpt4v_conversion.sample.layout import chance

SIDE = 800  # pixels

FIRST_IDS = (5001, 15001)
"""Pictures of even numbers are of DIOR's part for training and validation, those of odd ones of its test part."""

NAMES = {
    "airplane": "airplane", "ship": "ship", "storage tank": "storagetank", "tennis court": "tenniscourt",
    "small vehicle": "vehicle", "large vehicle": "vehicle", "bridge": "bridge",
}  # fmt: skip
"""DIOR's spelling of what can be drawn."""

WORDS = {"small vehicle": "vehicle", "large vehicle": "vehicle"}

FLAWED, CUT = 0, 1  # numbers of pictures

LISTS = ("train", "train", "train", "val", "test")
"""The authors' list of every expression, in turn."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Line:
    """One object of an annotation file."""

    name: str
    box: tuple[int, int, int, int]
    expression: str


def write_dior_rsvg(root: Path, images: int, seed: int) -> None:
    """Write DIOR-RSVG."""
    for folder in ("Annotations", "JPEGImages"):
        (root / folder).mkdir(parents=True, exist_ok=True)
    counts = {}
    for number in range(images):
        name = f"{FIRST_IDS[number % 2] + 3 * (number // 2):05d}"
        field = _field(seed, number)
        lines = _lines(field, flawed=number == FLAWED)
        field.image.save(root / "JPEGImages" / f"{name}.jpg", quality=90)
        (root / "Annotations" / f"{name}.xml").write_bytes(_xml(name, lines, more=number % 3 == 2).encode())
        counts[name] = len(lines)
    total = sum(counts.values())
    for split in dict.fromkeys(LISTS):
        numbers = [n for n in range(total) if LISTS[n % len(LISTS)] == split]
        (root / f"{split}.txt").write_bytes("".join(f"{n}\n" for n in numbers).encode())


def _field(seed: int, number: int) -> Field:
    kinds = list(NAMES)
    kinds = kinds[number % len(kinds) :] + kinds[: number % len(kinds)]
    if number == CUT:
        return cut_field(seed, "dior_rsvg", number, SIDE, kinds)
    return draw_field(chance(seed, "dior_rsvg", number), SIDE, SIDE, kinds)


def _lines(field: Field, *, flawed: bool) -> list[_Line]:
    words = [WORDS.get(o.kind, o.kind) for o in field.objects]
    said = expressions(words, [o.bbox for o in field.objects], SIDE, SIDE)
    lines = [
        _Line(
            name=NAMES[o.kind],
            box=(math.floor(o.bbox[0]), math.floor(o.bbox[1]), math.ceil(o.bbox[2]), math.ceil(o.bbox[3])),
            expression=text[0].upper() + text[1:],
        )
        for o, text in zip(field.objects, said, strict=True)
    ]  # fmt: skip
    if flawed:
        first = lines[0]
        left, top, _, bottom = first.box
        lines[0] = _Line(name=first.name, box=first.box, expression="")
        lines.append(_Line(name="vehicle", box=(left, top, left, bottom), expression="A vehicle that nobody can see"))
    return lines


def _xml(name: str, lines: list[_Line], *, more: bool) -> str:
    objects = "".join(_object(line, more=more) for line in lines)
    return (
        f"<annotation>\n\t<filename>{name}.jpg</filename>\n\t<source>\n\t\t<database>DIOR</database>\n\t</source>\n"
        f"\t<size>\n\t\t<width>{SIDE}</width>\n\t\t<height>{SIDE}</height>\n\t\t<depth>3</depth>\n\t</size>\n"
        f"\t<segmented>0</segmented>\n{objects}</annotation>\n"
    )


def _object(line: _Line, *, more: bool) -> str:
    sides = "".join(
        f"\t\t\t<{side}>{v}</{side}>\n" for side, v in zip(("xmin", "ymin", "xmax", "ymax"), line.box, strict=True)
    )
    truncated = "\t\t<truncated>0</truncated>\n" if more else ""
    return (
        f"\t<object>\n\t\t<name>{line.name}</name>\n\t\t<pose>Unspecified</pose>\n{truncated}"
        f"\t\t<bndbox>\n{sides}\t\t</bndbox>\n\t\t<description>{escape(line.expression)}</description>\n\t</object>\n"
    )
