"""Annotations in COCO's form: a file lists images, categories, and boxes as x, y, width and height in pixels.

    {"images": [{"id": 1, "file_name": "a.jpg", "width": 800, "height": 800}],
     "categories": [{"id": 0, "name": "ship"}],
     "annotations": [{"id": 7, "image_id": 1, "category_id": 0, "bbox": [1, 2, 9, 8], "iscrowd": 0,
                      "segmentation": [[1, 2, 10, 2, 10, 10, 1, 10]]}]}

Any number may be the id of an image or of a category, 0 among them. `info`, `licenses`, `area` and whatever else a file
has are not used. What is odd in a box is counted: one of negative sides is left out, and its category is then uncertain
in its image; a region (`iscrowd`, or `ignore` where a file has it) is an object to ignore. Boxes of images that the
file does not list are counted too. Two images of one id are refused: nobody could say whose the boxes are.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rs_gpt4v_conversion.errors import SourceError
from rs_gpt4v_conversion.records import BoxForm, Flaw, ImageRef, Note, Scene
from rs_gpt4v_conversion.sources._boxes import Placed, left_out, rotated, upright, with_corners
from rs_gpt4v_conversion.sources._folder import Folder
from rs_gpt4v_conversion.sources._json import describe, floats, load_object, records, side, typed
from rs_gpt4v_conversion.sources._names import image_name_flaw
from rs_gpt4v_conversion.sources._scene import Marks

Entries = list[tuple[str, dict[str, Any]]]
"""Annotations of one image, each with its place in the file."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CocoForm:
    """How the images of one file become scenes."""

    collection: str  # first part of an image's origin
    split: str | Callable[[str], str]  # ours, of all images, or by an image's name
    images: Path  # their folder
    image_path: str  # the folder under which rows name them
    words: Mapping[str, str]  # our categories by the source's, in lower case and with blanks
    boxes: BoxForm = "hbb"
    quads: bool = False  # a polygon of four points is a rotated box
    partial: bool = False  # no image says which categories were looked for: only those that are there
    prefix: str = ""  # of image ids, where images of several folders have the same names


def read_coco(folder: Folder, path: Path, form: CocoForm, seen: dict[str, str]) -> Iterator[Scene | Flaw | Note]:
    """Read one file.

    Args:
        folder: The source's folder.
        path: The file.
        form: What becomes of its images.
        seen: Names of the source's images so far, by image id; those of this file are entered. An id is the name
            without its ending, or with it where another image has that id.

    Yields:
        A scene an image. Of an image whose name is no file name, or that was listed before, a flaw for each category.

    Raises:
        SourceError: The file is not of this form, has a category that the source does not have, or lists no image.
    """
    content = load_object(folder, path)
    names = _categories(content, form.words, path)
    searched = tuple(dict.fromkeys(names.values()))
    images = records(content, "images", path)
    if not images:
        raise SourceError(path, "no image", "a list of images", record="images", do="fetch it again")
    boxes = _by_image(content, path)
    numbers: set[int] = set()
    for i, image in enumerate(images):
        where = f"images[{i}]"
        number = typed(image, "id", int, path, where)
        if number in numbers:
            raise SourceError(path, f"{number} for the second time", "an id of its own", record=f"{where}.id")
        numbers.add(number)
        size = side(image, "width", path, where), side(image, "height", path, where)
        marks = _marks(boxes.pop(number, []), names, size, form.quads, path)
        yield from _scene(image.get("file_name"), size, marks, form, searched, where, seen)
    if boxes:
        orphans = sum(map(len, boxes.values()))
        yield Note(reason="box of an image that the file does not list", count=orphans)


def _scene(
    name: Any, size: tuple[int, int], marks: Marks, form: CocoForm, searched: tuple[str, ...], where: str,
    seen: dict[str, str],
) -> Iterator[Scene | Flaw | Note]:  # fmt: skip
    split = form.split if isinstance(form.split, str) else form.split(str(name))
    flaw = image_name_flaw(name)
    if flaw:
        yield from marks.flaws(split, where, flaw, describe(name))
        return
    stem = Path(name).stem
    image_id = _new_id(form.prefix, name, seen)
    if image_id is None:
        yield from marks.flaws(split, f"{form.prefix}{stem}", "image listed twice", f"{where}: {name}")
        return
    ref = ImageRef(
        image_id=image_id, source_id=name, path=form.images / name, image_path=f"{form.image_path}/{name}",
        width=size[0], height=size[1], origin=f"{form.collection}/{image_id}",
    )  # fmt: skip
    yield from marks.notes
    yield marks.scene(split, ref, marks.met(searched) if form.partial else searched, form.boxes)


def _new_id(prefix: str, name: str, seen: dict[str, str]) -> str | None:
    """An id for an image, or None where it has one: two images may differ in the ending of their name alone."""
    for image_id in (f"{prefix}{Path(name).stem}", f"{prefix}{name}"):
        if seen.get(image_id) == name:
            return None
        if image_id not in seen:
            seen[image_id] = name
            return image_id
    return None


def _categories(content: dict[str, Any], words: Mapping[str, str], path: Path) -> dict[int, str]:
    names: dict[int, str] = {}
    for i, category in enumerate(records(content, "categories", path)):
        where = f"categories[{i}]"
        name = typed(category, "name", str, path, where)
        word = words.get(name.strip().lower().replace("_", " ").replace("-", " "))
        if word is None:
            raise SourceError(path, repr(name), "one of " + ", ".join(words), record=f"{where}.name")
        number = typed(category, "id", int, path, where)
        if number in names:
            raise SourceError(path, f"{number} for the second time", "an id of its own", record=f"{where}.id")
        names[number] = word
    if not names:
        raise SourceError(path, "no category", "a list of categories", record="categories")
    return names


def _by_image(content: dict[str, Any], path: Path) -> dict[int, Entries]:
    boxes: dict[int, Entries] = {}
    for i, box in enumerate(records(content, "annotations", path)):
        where = f"annotations[{i}]"
        boxes.setdefault(typed(box, "image_id", int, path, where), []).append((where, box))
    return boxes


def _marks(entries: Entries, names: dict[int, str], size: tuple[int, int], quads: bool, path: Path) -> Marks:
    marks = Marks()
    for where, entry in entries:
        category = typed(entry, "category_id", int, path, where)
        if category not in names:
            expected = "an id of the file's categories"
            raise SourceError(path, describe(category), expected, record=f"{where}.category_id")
        values = typed(entry, "bbox", list, path, where)
        box = floats(values, 4)
        if box is None:
            raise SourceError(path, describe(values), "x, y, width and height", record=f"{where}.bbox")
        corners = _quad(entry.get("segmentation")) if quads else None
        ignore = any(entry.get(key) == 1 for key in ("iscrowd", "ignore"))
        marks.add(names[category], _placed(box, corners, size), ignore=ignore)
    return marks


def _placed(values: list[float], corners: list[float] | None, size: tuple[int, int]) -> Placed:
    x, y, w, h = values
    if w < 0 or h < 0:
        return left_out("box of negative width or height, left out")
    placed = upright((x, y, x + w, y + h), *size)
    return placed if corners is None else with_corners(placed, rotated(corners, *size))


def _quad(segmentation: object) -> list[float] | None:
    """The corners of a polygon of four points; None for any other, and for the upright box itself."""
    polygon = segmentation[0] if isinstance(segmentation, list) and len(segmentation) == 1 else None
    corners = floats(polygon, 8)
    if corners is None:
        return None
    return None if len(set(corners[0::2])) == len(set(corners[1::2])) == 2 else corners
