"""RSVG and RSVG-HR: pictures of 1024 pixels, and lists of expressions with one box each.

RSVG's lists are what `torch.save` makes of Python lists; RSVG-HR's are lines of text, with the flaws of the real ones:
a decimal comma, swapped corners, a box beyond the edge, a comma in an expression, an image in both splits, a blank
line.
"""

import io
import math
import pickle
import zipfile
from dataclasses import dataclass
from pathlib import Path

from rs_gpt4v_conversion.records import BBox
from rs_gpt4v_conversion.sample.expressions import cut_field, expressions
from rs_gpt4v_conversion.sample.field import draw_field
from rs_gpt4v_conversion.sample.layout import chance, splits_by_position

SIDE = 1024  # pixels
SHARES = {"train": 0.6, "val": 0.2, "test": 0.2}
SHARES_HR = {"train": 0.75, "test": 0.25}

KINDS = {
    "tennis court": "sport_tennis", "storage tank": "man_made_storage_tank", "bridge": "man_made_bridge",
    "ship": "leisure_marina", "airplane": "aeroway_aerodrome",
}  # fmt: skip
"""What is drawn, and for what such an image would have been looked for."""

CUT = 0  # the picture of RSVG-HR with an object at its edge; its line with a decimal comma is in it, too
SHARED = 1  # the picture of RSVG-HR in both splits


@dataclass(frozen=True, slots=True, kw_only=True)
class _Line:
    """One expression."""

    name: str  # of the image
    box: BBox
    text: str


def write_rsvg(root: Path, images: int, seed: int) -> None:
    """Write RSVG."""
    splits = splits_by_position(images, SHARES)
    lines = [_picture(root, seed, "rsvg", n) for n in range(images)]
    for split in SHARES:
        of_split = [line for n in range(images) if splits[n] == split for line in lines[n]]
        content = [(e.name, [round(v, 1) for v in e.box], f"find {e.text}", ["DT", "NN"], 1) for e in of_split]
        (root / f"rsvg_{split}.pth").write_bytes(saved(content))


def write_rsvg_hr(root: Path, images: int, seed: int) -> None:
    """Write RSVG-HR."""
    splits = splits_by_position(images, SHARES_HR)
    lines = [_picture(root, seed, "rsvg_hr", n) for n in range(images)]
    for split in SHARES_HR:
        rows = [row for n in range(images) if splits[n] == split for row in _rows(lines[n], flawed=n == CUT)]
        if split == "test":
            rows += [_row(e, f"search {e.text}") for e in lines[SHARED][:1]]
        rows.append("")
        (root / f"rsvg_hr_{split}.txt").write_bytes("".join(f"{row}\n" for row in rows).encode())


def saved(value: object) -> bytes:
    """What `torch.save` writes for plain values, the same bytes every time."""
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        for name, content in (("data.pkl", pickle.dumps(value, protocol=2)), ("version", b"3\n")):
            archive.writestr(zipfile.ZipInfo(f"archive/{name}"), content)
    return stream.getvalue()


def _picture(root: Path, seed: int, source: str, number: int) -> list[_Line]:
    """Draw one picture, and say which of its objects is where."""
    kinds = list(KINDS)
    kinds = kinds[number % len(kinds) :] + kinds[: number % len(kinds)]
    if source == "rsvg_hr" and number == CUT:
        field = cut_field(seed, source, number, SIDE, kinds)
    else:
        field = draw_field(chance(seed, source, number), SIDE, SIDE, kinds)
    east = (500_000 if source == "rsvg" else 300_000) + 1024 * number
    name = f"{east}_{4_000_000 + 512 * number}_1024_32632_{KINDS[kinds[0]]}.jpg"
    (root / "images").mkdir(parents=True, exist_ok=True)
    field.image.save(root / "images" / name, quality=90)
    boxes = [o.bbox for o in field.objects]
    said = expressions([o.kind for o in field.objects], boxes, SIDE, SIDE)
    return [_Line(name=name, box=box, text=text) for box, text in zip(boxes, said, strict=True)]


def _rows(lines: list[_Line], *, flawed: bool) -> list[str]:
    rows = [_row(e, e.text if i % 2 else f"find {e.text}") for i, e in enumerate(lines)]
    if flawed:
        x1, y1, x2, y2 = lines[0].box
        rows[0] = f"{lines[0].name},{x1:.2f},{y1:.2f},{math.ceil(x2)},00,{y2:.2f},find {lines[0].text}"
        x1, y1, x2, y2 = lines[1].box
        swapped = _Line(name=lines[1].name, box=(x2, y1, x1, y2), text=lines[1].text)
        rows[1] = _row(swapped, f"find {lines[1].text}, as seen from above")
    return rows


def _row(e: _Line, text: str) -> str:
    return ",".join([e.name, *(str(round(v, 2)) for v in e.box), text])
