"""Boxes have 4 or 8 numbers and an area, and lie in their image; rotated ones run clockwise."""

import math
from typing import Any, ClassVar

from rs_gpt4v_conversion.gates._gate import Findings, GateResult, name_of
from rs_gpt4v_conversion.geometry import SLACK, centre_inside, signed_area
from rs_gpt4v_conversion.release import Where


class Boxes:
    """Looks at every object; a row counts once."""

    columns: ClassVar[tuple[str, ...]] = ("id", "objects", "width", "height")

    def __init__(self) -> None:
        self.findings = Findings("boxes")

    def row(self, row: dict[str, Any], where: Where) -> None:
        """Look at one row."""
        for number, item in enumerate(row["objects"] or ()):
            item = item or {}
            size = row["width"] or 0, row["height"] or 0
            flaw = box_flaw(item.get("bbox") or [], item.get("obb") or [], *size)
            if flaw:
                self.findings.add(name_of(row, where), f"object {number}: {flaw}")
                return

    def results(self) -> list[GateResult]:
        """What was found."""
        return [self.findings.result()]


def box_flaw(bbox: list[float | None], obb: list[float | None], width: int, height: int) -> str:
    """What is wrong with an object's boxes (pixels, origin top left), or an empty string."""
    if len(bbox) not in (0, 4) or len(obb) not in (0, 8):
        return f"boxes of {len(bbox)} and {len(obb)} numbers"
    numbers = [v for v in (*bbox, *obb) if v is not None and math.isfinite(v)]
    if len(numbers) != len(bbox) + len(obb):
        return "a box that is not of finite numbers"
    upright, corners = numbers[: len(bbox)], numbers[len(bbox) :]
    return (upright and _upright_flaw(upright, width, height)) or (corners and _obb_flaw(corners, width, height)) or ""


def _upright_flaw(bbox: list[float], width: int, height: int) -> str:
    x1, y1, x2, y2 = bbox
    if -SLACK <= x1 < x2 <= width + SLACK and -SLACK <= y1 < y2 <= height + SLACK:
        return ""
    return f"bbox {_short(bbox)} in an image of {width}x{height}"


def _obb_flaw(obb: list[float], width: int, height: int) -> str:
    if signed_area(obb) <= 0:
        return f"obb {_short(obb)} without area, or not clockwise"
    if not centre_inside(obb, width, height):
        return f"obb {_short(obb)} whose centre is outside the image of {width}x{height}"
    return ""


def _short(numbers: list[float]) -> str:
    return "[" + ", ".join(f"{n:.6g}" for n in numbers) + "]"
