"""Gates that look at rows: ids, conversations, boxes, images, splits."""

import hashlib
import io
import math
import warnings
from collections.abc import Collection
from typing import Any, ClassVar

from PIL import Image

from rs_gpt4v_conversion.gates._gate import GateResult
from rs_gpt4v_conversion.images import DECODE_ERRORS, FORMATS, decode
from rs_gpt4v_conversion.rows import TAG

SLACK = 1.0
"""Pixels by which a box may leave its image: annotators count from 0 or from 1."""


class Ids:
    """Ids are unique and agree with their row's columns and the shard's path."""

    columns: ClassVar[tuple[str, ...]] = ("id", "task", "source")

    def __init__(self) -> None:
        self.seen: set[str] = set()
        self.result = GateResult(name="ids")

    def row(self, row: dict[str, Any], shard: str) -> None:
        """Look at one row."""
        _, task, source, name = shard.split("/")
        start = f"{source}/{name.split('-')[0]}/{task}/"
        if row["id"] in self.seen:
            self.result.add(row["id"], "the id stands in two rows")
        elif (row["task"], row["source"]) != (task, source) or not row["id"].startswith(start):
            self.result.add(row["id"], f"lies in {shard}")
        self.seen.add(row["id"])

    def results(self) -> list[GateResult]:
        """What was found."""
        return [self.result]


class Conversations:
    """Human and gpt in turn, one image tag at the head, a pair for every two turns, known categories."""

    columns: ClassVar[tuple[str, ...]] = ("id", "task", "conversations", "pairs", "objects")

    def __init__(self, categories: dict[str, tuple[str, ...]]) -> None:
        self.categories = categories
        self.result = GateResult(name="conversations")

    def row(self, row: dict[str, Any], shard: str) -> None:
        """Look at one row."""
        flaw = self._turns(row) or self._pairs(row)
        if flaw:
            self.result.add(row["id"], flaw)

    def _turns(self, row: dict[str, Any]) -> str:
        turns = row["conversations"] or []
        if not turns or [t["from"] for t in turns] != ["human", "gpt"] * (len(turns) // 2):
            return "turns are not human and gpt in turn"
        if len(turns) != 2 * len(row["pairs"] or []):
            return f"{len(turns)} turns for {len(row['pairs'] or [])} pairs"
        texts = [t["value"] or "" for t in turns]
        if not texts[0].startswith(TAG) or sum(t.count(TAG.strip()) for t in texts) != 1:
            return "the image tag is not at the head of the first question alone"
        if not all(t.removeprefix(TAG).strip() for t in texts):
            return "a turn is blank"
        return ""

    def _pairs(self, row: dict[str, Any]) -> str:
        last = -1
        for pair in row["pairs"]:
            if pair["category"] not in self.categories.get(row["task"], ()):
                return f"{pair['category']!r} is no category of {row['task']}"
            if pair["dialogue"] is None or pair["dialogue"] - last not in (0, 1) or pair["dialogue"] < 0:
                return "dialogue numbers fall or jump"
            last = pair["dialogue"]
            if any(not 0 <= i < len(row["objects"] or []) for i in pair["objects"] or []):
                return "a pair speaks of an object that is not there"
        return ""

    def results(self) -> list[GateResult]:
        """What was found."""
        return [self.result]


class Boxes:
    """Boxes have 4 or 8 numbers, an area, and lie in their image; rotated ones run clockwise."""

    columns: ClassVar[tuple[str, ...]] = ("id", "objects", "width", "height")

    def __init__(self) -> None:
        self.result = GateResult(name="boxes")

    def row(self, row: dict[str, Any], shard: str) -> None:
        """Look at one row."""
        for item in row["objects"] or []:
            bbox, obb = item["bbox"] or [], item["obb"] or []
            flaw = box_flaw(bbox, obb, row["width"], row["height"])
            if flaw:
                self.result.add(row["id"], flaw)
                return

    def results(self) -> list[GateResult]:
        """What was found."""
        return [self.result]


def box_flaw(bbox: list[float], obb: list[float], width: int, height: int) -> str:
    """What is wrong with an object's boxes (pixels, origin top left), or an empty string."""
    if len(bbox) not in (0, 4) or len(obb) not in (0, 8):
        return f"boxes of {len(bbox)} and {len(obb)} numbers"
    if not all(v is not None and math.isfinite(v) for v in (*bbox, *obb)):
        return "a box that is not of finite numbers"
    if bbox:
        x1, y1, x2, y2 = bbox
        if not (-SLACK <= x1 < x2 <= width + SLACK and -SLACK <= y1 < y2 <= height + SLACK):
            return f"bbox {bbox} in an image of {width}x{height}"
    if obb:
        xs, ys = obb[0::2], obb[1::2]
        # the shoelace sum is positive where corners run clockwise with y down
        if sum(xs[i - 1] * ys[i] - xs[i] * ys[i - 1] for i in range(4)) <= 0:
            return "obb without area, or not clockwise"
        if not (-SLACK <= sum(xs) / 4 <= width + SLACK and -SLACK <= sum(ys) / 4 <= height + SLACK):
            return "obb whose centre is outside the image"
    return ""


class Images:
    """Every image decodes whole, has the stated size, and is the one that its digest names; null ones are allowed."""

    columns: ClassVar[tuple[str, ...]] = ("id", "image", "width", "height", "image_sha256")

    def __init__(self) -> None:
        self.result = GateResult(name="images")

    def row(self, row: dict[str, Any], shard: str) -> None:
        """Look at one row."""
        if row["image"] is None:
            return
        flaw = image_flaw(row["image"]["bytes"], (row["width"], row["height"]), row["image_sha256"])
        if flaw:
            self.result.add(row["id"], flaw)

    def results(self) -> list[GateResult]:
        """What was found."""
        return [self.result]


def image_flaw(data: bytes | None, size: tuple[int, int], digest: str) -> str:
    """What is wrong with an image's bytes, or an empty string."""
    if data is None:
        return "an image without bytes"
    if hashlib.sha256(data).hexdigest() != digest:
        return "the digest is another image's"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            image = Image.open(io.BytesIO(data), formats=FORMATS)
            found = image.size
            decode(image)
        except (*DECODE_ERRORS, Image.DecompressionBombError) as error:
            return f"does not decode: {error}"
    return "" if found == size else f"is {found[0]}x{found[1]}, said to be {size[0]}x{size[1]}"


class Splits:
    """One image is in one split only; where a source's official splits are known to share images, it is a warning."""

    columns: ClassVar[tuple[str, ...]] = ("id", "source", "image_sha256", "source_sha256")

    def __init__(self, known_overlap: Collection[str]) -> None:
        self.known = known_overlap
        self.seen: dict[str, tuple[str, str]] = {}  # half a digest: source and split of its first row
        self.error = GateResult(name="splits")
        self.warning = GateResult(name="splits of sources known to overlap", severity="warning")

    def row(self, row: dict[str, Any], shard: str) -> None:
        """Look at one row."""
        here = (row["source"], shard.rsplit("/", 1)[-1].split("-")[0])
        for digest in {row["image_sha256"], row["source_sha256"]}:
            first = self.seen.setdefault(str(digest)[:32], here)
            if first[1] != here[1]:
                same = first[0] == here[0] and here[0] in self.known
                gate = self.warning if same else self.error
                gate.add(row["id"], f"its image is also in {first[0]}, {first[1]}")
                return

    def results(self) -> list[GateResult]:
        """What was found."""
        return [self.error, self.warning]
