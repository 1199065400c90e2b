"""What RSVG and RSVG-HR have in common: expressions, each with the name of its image and one box."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from rs_gpt4v_conversion.records import Annotation, Flaw, ImageRef, Note, Object, Referring
from rs_gpt4v_conversion.sources._boxes import upright
from rs_gpt4v_conversion.sources._folder import Folder
from rs_gpt4v_conversion.sources._names import image_name_flaw

SIDE = 1024
"""Width and height of the images, pixels: what stands in for the header of an image that is not there."""

CATEGORY = "object"
"""The sets have no categories: what a box holds is said by its expression alone, sometimes several things."""

NO_AREA = "box without area, or outside its image"
NO_EXPRESSION = "box without an expression"

CITATION = """@inproceedings{sun2022visual,
  title     = {Visual Grounding in Remote Sensing Images},
  author    = {Sun, Yuxi and Feng, Shanshan and Li, Xutao and Ye, Yunming and Kang, Jian and Huang, Xu},
  booktitle = {Proceedings of the 30th ACM International Conference on Multimedia},
  pages     = {404--412},
  year      = {2022}
}"""
"""Of RSVG."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Expression:
    """One record of a file, or what is wrong with it."""

    record: str  # names it in the file
    name: object  # of the image, as read
    box: tuple[float, ...] = ()  # x1 y1 x2 y2 in pixels, as read
    text: str = ""
    flaw: str = ""


def annotations(
    folder: Folder, split: str, expressions: Iterable[Expression], images: Path, prefix: str
) -> Iterator[Annotation | Flaw | Note]:
    """Gather the expressions of each image; its objects are the different boxes.

    Args:
        folder: The source's folder.
        split: Ours.
        expressions: Of one file, in any order.
        images: The folder of the images.
        prefix: Of the images' paths in a release.

    Yields:
        One annotation an image, in the order of their first expressions; a flaw for an expression that has no usable
        image name, box or text.
    """
    found: dict[str, list[Expression]] = {}
    for e in expressions:
        name_flaw = image_name_flaw(e.name)
        if e.flaw or name_flaw:
            yield _flaw(e, split, e.flaw or name_flaw)
        else:
            found.setdefault(str(e.name), []).append(e)
    for name, of_image in found.items():
        yield from _image(folder, split, name, of_image, images, prefix)


def _image(
    folder: Folder, split: str, name: str, expressions: list[Expression], images: Path, prefix: str
) -> Iterator[Annotation | Flaw | Note]:
    path = images / name
    width, height = folder.size(path) or (SIDE, SIDE)
    objects: dict[tuple[float, ...], Object] = {}
    facts = []
    for e in expressions:
        placed = upright(e.box, width, height)
        flaw = NO_AREA if placed.bbox is None else "" if e.text else NO_EXPRESSION
        if placed.bbox is None or flaw:
            yield _flaw(e, split, flaw)
            continue
        yield from placed.notes
        objects.setdefault(placed.bbox, Object(category=CATEGORY, bbox=placed.bbox, number=len(objects)))
        facts.append(Referring(expression=e.text, item=objects[placed.bbox].number))
    if facts:
        stem = Path(name).stem
        image = ImageRef(
            image_id=stem, source_id=name, path=path, image_path=f"{prefix}/{name}", width=width, height=height,
            origin=f"rsvg/{stem}",
        )  # fmt: skip
        yield Annotation(
            task="grounding", split=split, image=image, facts=tuple(facts), objects=tuple(objects.values()),
        )  # fmt: skip


def _flaw(e: Expression, split: str, reason: str) -> Flaw:
    image_id = Path(str(e.name)).stem if not image_name_flaw(e.name) else e.record
    return Flaw(
        task="grounding", split=split, image_id=image_id, record=e.record, reason=reason, detail=e.text,
    )  # fmt: skip
