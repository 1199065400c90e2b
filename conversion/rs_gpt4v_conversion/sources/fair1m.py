"""FAIR1M: rotated boxes of 37 kinds of airplanes, ships, vehicles, courts and roads in Gaofen and Google Earth images.

    train/part1/{images/<n>.tif,labelXml/<n>.xml}    labelXml or labelXmls, in every part
    train/part2/{images/<n>.tif,labelXml/<n>.xml}
    validation/{images/<n>.tif,labelXml/<n>.xml}
    test/images/<n>.tif                              without labels

    <annotation><source><filename>900.tif</filename></source>
      <size><width>1000</width><height>1000</height><depth>3</depth></size>
      <objects><object><coordinate>pixel</coordinate><type>rectangle</type><description>None</description>
        <possibleresult><name>Small Car</name></possibleresult>
        <points><point>1.0,2.0</point><point>9.0,2.0</point><point>9.0,8.0</point><point>1.0,8.0</point>
          <point>1.0,2.0</point></points></object></objects></annotation>

FAIR1M-2.0: 16,488 / 8,287 / 18,021 images in train, validation and test, more than a million boxes. The images of test
are counted in a note. Numbers begin at 0 again in every part, so an id is `part1_0`, `part2_0`, `validation_0`.

A box is five points, the last one the first again; four are taken too, another number is left out with a note. Corners
are clockwise from the source's first. The names (`Boeing737`, `Liquid Cargo Ship`, `other-airplane`) become plain
words; of several possible results the most probable counts, the first of equals, with a note. Every one of the 37
kinds was looked for in every image. Coordinates other than pixels are refused: that is another product.

Images have 1,000 to 10,000 pixels a side and stay whole; `tile = 1024` cuts the large ones. Some TIFF files have more
than three bands.

CC-BY-NC-SA-3.0; the images are not passed on.
"""

import math
from collections.abc import Iterator
from pathlib import Path
from xml.etree.ElementTree import Element

from rs_gpt4v_conversion.errors import SourceError
from rs_gpt4v_conversion.records import Flaw, ImageRef, Note, Scene
from rs_gpt4v_conversion.sources._boxes import Placed, left_out, rotated
from rs_gpt4v_conversion.sources._folder import Folder, files_by_stem
from rs_gpt4v_conversion.sources._json import describe
from rs_gpt4v_conversion.sources._names import image_name_flaw
from rs_gpt4v_conversion.sources._scene import Marks
from rs_gpt4v_conversion.sources._source import BOXES, TILING, Options, Source, box_form
from rs_gpt4v_conversion.sources._voc import (
    STRAY,
    UNKNOWN,
    Size,
    Vocabulary,
    element,
    image_size,
    name_note,
    xml_files,
)
from rs_gpt4v_conversion.sources._xml import load_xml, number, text

PARTS = {
    "part1": ("train/part1", "train"),
    "part2": ("train/part2", "train"),
    "validation": ("validation", "validation"),
}
"""Folder and split of each part, by what its ids begin with."""

CATEGORIES = {
    "Boeing737": "boeing 737",
    "Boeing747": "boeing 747",
    "Boeing777": "boeing 777",
    "Boeing787": "boeing 787",
    "A220": "airbus a220",
    "A321": "airbus a321",
    "A330": "airbus a330",
    "A350": "airbus a350",
    "C919": "comac c919",
    "ARJ21": "comac arj21",
    "other-airplane": "other airplane",
    "Passenger Ship": "passenger ship",
    "Motorboat": "motorboat",
    "Fishing Boat": "fishing boat",
    "Tugboat": "tugboat",
    "Engineering Ship": "engineering ship",
    "Liquid Cargo Ship": "liquid cargo ship",
    "Dry Cargo Ship": "dry cargo ship",
    "Warship": "warship",
    "other-ship": "other ship",
    "Small Car": "small car",
    "Bus": "bus",
    "Cargo Truck": "cargo truck",
    "Dump Truck": "dump truck",
    "Van": "van",
    "Trailer": "trailer",
    "Tractor": "tractor",
    "Truck Tractor": "truck tractor",
    "Excavator": "excavator",
    "other-vehicle": "other vehicle",
    "Baseball Field": "baseball field",
    "Basketball Court": "basketball court",
    "Football Field": "football field",
    "Tennis Court": "tennis court",
    "Roundabout": "roundabout",
    "Intersection": "intersection",
    "Bridge": "bridge",
}
"""Our words by the source's spelling."""


def read(folder: Folder, options: Options) -> Iterator[Scene | Flaw | Note]:
    """Read the boxes of every part that is in the folder.

    Yields:
        A scene an image; notes for what was left out; a flaw for each category of an image whose name is no text.

    Raises:
        SourceError: No part is there, or a file is not of this form.
    """
    words = Vocabulary("FAIR1M", CATEGORIES)
    found = False
    for part, (place, split) in PARTS.items():
        files = xml_files(folder.images(f"{place}/labelXml", f"{place}/labelXmls"))
        if not files:
            yield Note(reason=f"no labels of the official part {place!r} in the folder")
            continue
        found = True
        images = folder.root / place / "images"
        for stem, file in files.items():
            yield from _image(folder, file, f"{part}_{stem}", images / f"{stem}.tif", split, words, options)
        missing = len(files_by_stem(images, ".tif").keys() - files.keys())
        if missing:
            yield Note(reason="image without an annotation file, left out", count=missing)
    if not found:
        raise SourceError(folder.root, "no labels", "train/part1/labelXml/<n>.xml", do="check `root`")
    words.check()
    test = len(files_by_stem(folder.root / "test" / "images", ".tif"))
    if test:
        yield Note(reason="image of the official test split, which has no labels, left out", count=test)


def _image(
    folder: Folder, file: Path, name: str, path: Path, split: str, words: Vocabulary, options: Options
) -> Iterator[Scene | Flaw | Note]:
    root = load_xml(folder, file, "annotation")
    size, unsized = image_size(root, folder, path, "size/width", "size/height")
    marks = _marks(root, file, words, size)
    flaw = image_name_flaw(name)
    if flaw:
        yield from marks.flaws(split, describe(name), flaw, describe(name))
        return
    ref = ImageRef(
        image_id=name, source_id=f"{name.replace('_', '/', 1)}.tif", path=path,
        image_path=f"FAIR1M/{path.relative_to(folder.root).as_posix()}", width=size[0], height=size[1],
        origin=f"fair1m/{name}",
    )  # fmt: skip
    yield from (*unsized, *name_note(root, file.stem, "source/filename"), *marks.notes)
    yield marks.scene(split, ref, words.searched, box_form(options))


def _marks(root: Element, file: Path, words: Vocabulary, size: Size) -> Marks:
    marks = Marks()
    for i, item in enumerate(element(root, "objects", file, "annotation").findall("object")):
        record = f"object[{i}]"
        coordinate = text(item, "coordinate")
        if coordinate.lower() != "pixel":
            raise SourceError(file, repr(coordinate), "'pixel'", record=f"{record}.coordinate")
        category = words.word(_result(item, file, record, marks), file, record)
        placed = _placed(element(item, "points", file, record), size)
        if category is None:
            marks.doubt(UNKNOWN, STRAY)
        else:
            marks.add(category, placed)
    return marks


def _result(item: Element, file: Path, record: str, marks: Marks) -> str:
    """The name that an object most probably has."""
    element(item, "possibleresult", file, record)
    results = [(text(r, "name"), number(r, "probability") or 0.0) for r in item.findall("possibleresult")]
    if len(results) > 1:
        marks.notes.append(Note(reason="object of several possible kinds, the most probable counts"))
    return max(results, key=lambda r: r[1])[0]


def _placed(points: Element, size: Size) -> Placed:
    found = [_point(p.text or "") for p in points.findall("point")]
    if len(found) == 5 and found[0] == found[4]:
        del found[4]
    if len(found) != 4:
        return left_out("box that has not four corners, left out")
    return rotated([v for point in found for v in point], *size)


def _point(text: str) -> tuple[float, float]:
    x, _, y = text.partition(",")
    try:
        return float(x), float(y)
    except ValueError:
        return math.nan, math.nan


SOURCE = Source(
    kind="fair1m",
    title="FAIR1M",
    tasks=("vqa", "grounding"),
    read=read,
    layout=(
        "train/{part1,part2}/{images/<n>.tif,labelXml/<n>.xml}",
        "validation/{images/<n>.tif,labelXml/<n>.xml}",
    ),
    modality="optical",
    license="CC-BY-NC-SA-3.0",
    redistribute=False,
    homepage="https://www.gaofen-challenge.com/benchmark",
    citation="""@article{sun2022fair1m,
  title   = {{FAIR1M}: A Benchmark Dataset for Fine-Grained Object Recognition in High-Resolution Remote Sensing
             Imagery},
  author  = {Sun, Xian and Wang, Peijin and Yan, Zhiyuan and Xu, Feng and Wang, Ruiping and Diao, Wenhui and Chen, Jin
             and Li, Jihao and Feng, Yingchao and Xu, Tao and Weinmann, Martin and Hinz, Stefan and Wang, Cheng and
             Fu, Kun},
  journal = {ISPRS Journal of Photogrammetry and Remote Sensing},
  volume  = {184},
  pages   = {116--130},
  year    = {2022}
}""",
    splits={"train": (16488, None), "validation": (8287, None)},
    options=(BOXES, *TILING),
    detects=True,
)
