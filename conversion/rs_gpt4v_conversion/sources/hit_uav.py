"""HIT-UAV: rotated boxes of people and vehicles in 2,898 thermal images taken by a drone.

    HIT-UAV/rotate_json/annotations/{train,val,test}.json
    HIT-UAV/rotate_json/<split>/<name>.jpg      640x512, one band; or normal_json/<split>/, or
                                                {rotate,normal}_xml/JPEGImages/: the same files

    {"images": [{"id": 2029, "width": 640, "height": 512, "filename": "1_80_90_0_01343.jpg", ...}],
     "categories": [{"id": 0, "name": "Person"}, ...],
     "annotations": [{"image_id": 2029, "category_id": 0, "difficult": false, "bbox": [cx, cy, w, h, theta]}]}

Official counts: 2,029 / 290 / 579 images and 17,628 / 2,460 / 4,811 boxes. Boxes are centre, sides and a clockwise turn
in radians, 0 to pi. The keys are this set's own (`filename`; the upright boxes' file says `annotation`). Category 0 is
a real class. DontCare marks regions that are not to be judged: they are kept as objects to ignore and never asked
about, and where there is one nothing is counted, and nothing asked for by boxes. Of images without any box (21 / 3 / 8)
some are asked for what is not there. `bbox` is the part of
the rotated box's envelope that lies in the image; a box without area, or outside the image, is left out and noted.

CC-BY-4.0: images may be passed on with credit.
"""

import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from rs_gpt4v_conversion.errors import SourceError
from rs_gpt4v_conversion.geometry import corners
from rs_gpt4v_conversion.records import BoxForm, Flaw, ImageRef, Note, Scene
from rs_gpt4v_conversion.sources._boxes import rotated
from rs_gpt4v_conversion.sources._folder import Folder
from rs_gpt4v_conversion.sources._json import describe, floats, load_object, records, side, typed
from rs_gpt4v_conversion.sources._names import image_name_flaw
from rs_gpt4v_conversion.sources._scene import Marks
from rs_gpt4v_conversion.sources._source import BOXES, Options, Source, box_form

SPLITS = {"train": "train", "val": "validation", "test": "test"}

CATEGORIES = {
    "Person": "person",
    "Car": "car",
    "Bicycle": "bicycle",
    "OtherVehicle": "other vehicle",
    "DontCare": "don't care",
}
"""Our words by the source's spelling."""

IGNORED = "DontCare"

SEARCHED = tuple(ours for theirs, ours in CATEGORIES.items() if theirs != IGNORED)


def read(folder: Folder, options: Options) -> Iterator[Scene | Flaw | Note]:
    """Read the rotated boxes of every split that is in the folder.

    Yields:
        A scene an image; notes for what was left out; a flaw for each category of an image whose name is no file name.

    Raises:
        SourceError: No split is there, or a file is not of this form.
    """
    found = False
    for theirs, split in SPLITS.items():
        path = folder.root / "rotate_json" / "annotations" / f"{theirs}.json"
        if not path.exists():
            yield Note(reason=f"no file of the official split {theirs!r} in the folder")
            continue
        found = True
        images = folder.images(
            f"rotate_json/{theirs}", f"normal_json/{theirs}",
            "rotate_xml/JPEGImages", "normal_xml/JPEGImages",
        )  # fmt: skip
        yield from _read_split(folder, path, split, images, f"HIT-UAV/rotate_json/{theirs}", box_form(options))
    if not found:
        raise SourceError(folder.root, "none of them", "rotate_json/annotations/{train,val,test}.json")


def _read_split(
    folder: Folder, path: Path, split: str, images: Path, image_path: str, form: BoxForm
) -> Iterator[Scene | Flaw | Note]:
    content = load_object(folder, path)
    if "annotation" in content and "annotations" not in content:
        raise SourceError(path, "the file of the upright boxes", "rotate_json's file of this name")
    names = _categories(content, path)
    boxes: dict[int, list[tuple[str, dict[str, Any]]]] = {}
    for i, box in enumerate(records(content, "annotations", path)):
        where = f"annotations[{i}]"
        image = typed(box, "image_id", int, path, where)
        boxes.setdefault(image, []).append((where, box))
    for i, image in enumerate(records(content, "images", path)):
        where = f"images[{i}]"
        number = typed(image, "id", int, path, where)
        width, height = (side(image, key, path, where) for key in ("width", "height"))
        marks = _marks(boxes.pop(number, []), names, width, height, path)
        name = image.get("filename")
        flaw = image_name_flaw(name)
        if flaw:
            yield from marks.flaws(split, where, flaw, describe(name))
            continue
        stem = Path(str(name)).stem
        ref = ImageRef(
            image_id=stem, source_id=str(name), path=images / str(name), image_path=f"{image_path}/{name}",
            width=width, height=height, origin=f"hit_uav/{stem}",
        )  # fmt: skip
        yield from marks.notes
        yield marks.scene(split, ref, SEARCHED, form)
    if boxes:
        orphans = sum(map(len, boxes.values()))
        yield Note(reason="box of an image that the file does not list", count=orphans)


def _categories(content: dict[str, Any], path: Path) -> dict[int, str]:
    names = {}
    for i, category in enumerate(records(content, "categories", path)):
        where = f"categories[{i}]"
        name = typed(category, "name", str, path, where)
        if name not in CATEGORIES:
            expected = "one of " + ", ".join(CATEGORIES)
            raise SourceError(path, repr(name), expected, record=f"{where}.name")
        names[typed(category, "id", int, path, where)] = name
    return names


def _marks(
    boxes: list[tuple[str, dict[str, Any]]],
    names: dict[int, str],
    width: int,
    height: int,
    path: Path,
) -> Marks:
    marks = Marks()
    for where, box in boxes:
        category = typed(box, "category_id", int, path, where)
        values = typed(box, "bbox", list, path, where)
        if category not in names:
            expected = "an id of the file's categories"
            raise SourceError(path, str(category), expected, record=f"{where}.category_id")
        numbers = floats(values, 5)
        if numbers is None or not all(map(math.isfinite, numbers)):
            expected = "centre x and y, width, height and angle"
            raise SourceError(path, describe(values), expected, record=f"{where}.bbox")
        cx, cy, w, h, theta = numbers
        placed = rotated(corners(cx, cy, max(w, 0.0), max(h, 0.0), theta), width, height)
        marks.add(
            CATEGORIES[names[category]], placed,
            difficult=bool(box.get("difficult", False)), ignore=names[category] == IGNORED,
        )  # fmt: skip
    return marks


SOURCE = Source(
    kind="hit_uav",
    title="HIT-UAV",
    tasks=("vqa", "grounding"),
    read=read,
    layout=(
        "rotate_json/annotations/{train,val,test}.json",
        "rotate_json/{train,val,test}/<name>.jpg",
    ),
    modality="infrared",
    license="CC-BY-4.0",
    redistribute=True,
    homepage="https://github.com/suojiashun/HIT-UAV-Infrared-Thermal-Dataset",
    citation="""@article{suo2023hituav,
  title   = {{HIT-UAV}: A High-Altitude Infrared Thermal Dataset for Unmanned Aerial Vehicle-Based Object Detection},
  author  = {Suo, Jiashun and Wang, Tianyi and Zhang, Xingzhou and Chen, Haiyang and Zhou, Wei and Shi, Weisong},
  journal = {Scientific Data},
  volume  = {10},
  number  = {227},
  year    = {2023}
}""",
    splits={"train": (2029, 17628), "validation": (290, 2460), "test": (579, 4811)},
    options=(BOXES,),
    detects=True,
)
