"""DIOR-RSVG: 38,320 expressions, each for the box of one object, in 17,402 images of DIOR.

    DIOR_RSVG/Annotations/<id>.xml              all objects of an image that have an expression
    DIOR_RSVG/JPEGImages/<id>.jpg               800x800 JPEG; DIOR's own folders JPEGImages-{trainval,test} do as well
    DIOR_RSVG/{train,val,test}.txt              numbers of expressions; only for `split = "official"`

    <annotation><filename>90001.jpg</filename><size><width>800</width><height>800</height><depth>3</depth></size>
      <object><name>golffield</name><pose>Unspecified</pose>
        <bndbox><xmin>1</xmin><ymin>2</ymin><xmax>30</xmax><ymax>40</ymax></bndbox>
        <description>A golf field on the left</description></object></annotation>

Each expression is asked both ways: where it is (grounding) and what is in the box (region captioning). An image's rows
hold all its objects, whichever expressions they ask for.

`split = "image"`, the default, is the paper's split: by image, along the boundary between DIOR's own parts. Ids 00001
to 11725 are train, 9,466 images and 19,643 expressions; 11726 to 23463 are test, 7,936 and 18,677. No image is in both.
Where the authors' lists are there as well and count another number of objects than the files hold, that is noted.

`split = "official"` is the authors' own, of 26,991 / 3,829 / 7,500 single expressions: an image is in several splits
with different expressions, so a model has seen most of the images that it is tested on. The card says so, and `check`
warns of it instead of failing. The numbers in the three lists count the objects of all files in the order of the files'
names, from 0. A file too many or too few moves every later number to another expression, so all three lists must be
there, and together be exactly the numbers from 0 to the number of objects less one; otherwise the folder is refused.
(Loaders that do not sort the files, as early copies of the authors' did, use other splits than these.)

Objects are read by the names of their elements, not by their place. The categories have DIOR's spelling and become
plain words; an unknown one is kept by its own name and noted. Boxes that leave the image are cut off at its edge,
swapped corners put in order, each with a note. An object without a usable box or without an expression is a rejected
pair in both tasks; one without an expression stays among its image's objects. A file that names another image than its
own rejects all its pairs. A file without a size has DIOR's, with a note. Where no object at all has a description, the
annotations are refused: a first upload lacked them.

The paper's test file names images as `DIOR-RSVG/JPEGImages-test/<id>.jpg` (seen); `JPEGImages-trainval` for the others
is inferred from it.

No licence is stated; the images are DIOR's, from Google Earth, and may not be passed on.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from xml.etree.ElementTree import Element

from rs_gpt4v_conversion.errors import SourceError
from rs_gpt4v_conversion.records import Annotation, Fact, Flaw, ImageRef, Note, Object, Referring, Region
from rs_gpt4v_conversion.sources._boxes import upright
from rs_gpt4v_conversion.sources._dior import CATEGORIES, LAST_TEST, LAST_TRAINVAL
from rs_gpt4v_conversion.sources._folder import Folder, files_by_stem
from rs_gpt4v_conversion.sources._lines import load_lines
from rs_gpt4v_conversion.sources._source import Option, Options, PaperFigure, Source
from rs_gpt4v_conversion.sources._xml import load_xml, number, text

TASKS = ("grounding", "region_captioning")

SPLIT = Option(
    name="split",
    help="image: the paper's split by image; official: the authors' split by expression, which shares images",
    choices=("image", "official"),
)

LISTS = {"train": "train", "val": "validation", "test": "test"}
"""Our splits by the names of the authors' lists."""

SIDE = 800
"""Width and height of every image of DIOR, pixels."""

NO_BOX = "box that is not of four numbers"
NO_AREA = "box without area, or outside its image"
NO_EXPRESSION = "object without an expression"
OTHER_IMAGE = "annotation file that names another image"


@dataclass(frozen=True, slots=True, kw_only=True)
class _Expression:
    """What one object of a file gives to ask about."""

    split: str
    number: int  # in the file
    text: str
    item: int  # position among the objects that are kept, -1 where it is not
    flaw: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class _File:
    """One annotation file, parsed."""

    image_id: str
    size: tuple[int, int]
    objects: tuple[Object, ...]
    expressions: tuple[_Expression, ...]
    notes: tuple[Note, ...]


def read(folder: Folder, options: Options) -> Iterator[Annotation | Flaw | Note]:
    """Read the annotation files in the order of their names.

    Yields:
        For each image, split and task an annotation with all objects of the image; flaws and notes.

    Raises:
        SourceError: There is no annotation file, one is not of this form, or the lists do not fit them.
    """
    official = official_split(options)
    splits = _splits(folder) if official else None
    counted = described = 0
    files = []
    for path in _paths(folder):
        root = load_xml(folder, path, "annotation")
        objects = root.findall("object")
        described += sum(bool(text(o, "description")) for o in objects)
        files.append(_file(path, root, splits, counted))
        counted += len(objects)
    if splits is not None:
        _check(folder, splits, counted, len(files))
    if counted and not described:
        found = f"no <description> in any of {len(files):,} files"
        raise SourceError(folder.root / "Annotations", found, "an expression for each object", do="fetch them again")
    if splits is None:
        yield from _count(folder, counted)
    for file in files:
        yield from _asked(folder, file)


def _count(folder: Folder, objects: int) -> Iterator[Note]:
    """Where the lists are there, they tell whether all annotation files are."""
    if not all((folder.root / f"{name}.txt").is_file() for name in LISTS):
        return
    listed = len(_splits(folder))
    if listed != objects:
        reason = f"{objects:,} objects, and {listed:,} in the authors' lists: annotation files are missing or too many"
        yield Note(reason=reason)


def official_split(options: Options) -> bool:
    """Whether the user chose the authors' split by expression."""
    return options.get("split") == "official"


def _paths(folder: Folder) -> list[Path]:
    """The annotation files in the order in which the authors' lists count them."""
    annotations = folder.root / "Annotations"
    paths = list(files_by_stem(annotations, ".xml").values())
    if not paths:
        raise SourceError(annotations, "no annotation files", "Annotations/<id>.xml", do="check `root`")
    return paths


def _splits(folder: Folder) -> dict[int, str]:
    """The split of every number in the authors' lists."""
    splits: dict[int, str] = {}
    for name, split in LISTS.items():
        path = folder.root / f"{name}.txt"
        for i, line in load_lines(folder, path, "numbers of expressions"):
            if not re.fullmatch(r"[0-9]{1,9}", line):
                raise SourceError(path, repr(line[:40]), "the number of an expression", record=f"line {i}")
            at = int(line)
            if at in splits:
                raise SourceError(path, f"{at} a second time", "each number in one list, once", record=f"line {i}")
            splits[at] = split
    if not splits:
        raise SourceError(folder.root, "empty lists", "train.txt, val.txt and test.txt", do="fetch them again")
    return splits


def _check(folder: Folder, splits: Mapping[int, str], objects: int, files: int) -> None:
    """The lists must count exactly the objects that are there."""
    if len(splits) == objects and max(splits) == objects - 1:
        return
    found = f"{objects:,} objects in {files:,} files and {len(splits):,} numbers up to {max(splits):,} in the lists"
    expected = "each object once in train.txt, val.txt and test.txt, counted from 0 over all files in order"
    do = 'a file is missing or too many, so every later number is wrong: fetch them again, or set split = "image"'
    raise SourceError(folder.root, found, expected, do=do)


def _file(path: Path, root: Element, splits: Mapping[int, str] | None, first: int) -> _File:
    """One file's objects and expressions.

    Args:
        path: The file.
        root: Its content.
        splits: The split of every expression by its number, or None for the split by image.
        first: The number of the file's first object.
    """
    part = _part(path)
    size, notes = _size(root)
    name = text(root, "filename")
    wrong = OTHER_IMAGE if name and Path(name).stem != path.stem else ""
    objects: list[Object] = []
    expressions = []
    for i, element in enumerate(root.findall("object")):
        thing, done, flaw = _object(element, i, size)
        notes.extend(done)
        if thing is not None:
            objects.append(thing)
        expression = text(element, "description")
        expressions.append(
            _Expression(
                split=part if splits is None else splits.get(first + i, ""), number=i, text=expression,
                item=len(objects) - 1 if thing is not None else -1,
                flaw=wrong or flaw or ("" if expression else NO_EXPRESSION),
            )
        )  # fmt: skip
    return _File(
        image_id=path.stem, size=size, objects=tuple(objects), expressions=tuple(expressions), notes=tuple(notes),
    )  # fmt: skip


def _part(path: Path) -> str:
    """The paper's split of an image: train in DIOR's part for training and validation, else test."""
    stem = path.stem
    if not (stem.isascii() and stem.isdigit() and 1 <= int(stem) <= LAST_TEST):
        expected = f"an id of DIOR, from 00001 to {LAST_TEST}"
        raise SourceError(path, f"the name {stem!r}", expected, do="is it another dataset's file?")
    return "train" if int(stem) <= LAST_TRAINVAL else "test"


def _size(root: Element) -> tuple[tuple[int, int], list[Note]]:
    width, height = number(root, "size/width"), number(root, "size/height")
    if width is None or height is None or width < 1 or height < 1:
        return (SIDE, SIDE), [Note(reason=f"file without the image's size, taken as DIOR's {SIDE}x{SIDE}")]
    return (int(width), int(height)), []


def _object(element: Element, number_in_file: int, size: tuple[int, int]) -> tuple[Object | None, list[Note], str]:
    """The object of an element or why there is none, and what was repaired."""
    values = [v for side in ("xmin", "ymin", "xmax", "ymax") if (v := number(element, f"bndbox/{side}")) is not None]
    if len(values) < 4:
        return None, [], NO_BOX
    placed = upright(values, *size)
    if placed.bbox is None:
        return None, [], NO_AREA
    category, notes = _category(text(element, "name"))
    return Object(category=category, bbox=placed.bbox, number=number_in_file), [*placed.notes, *notes], ""


def _category(name: str) -> tuple[str, list[Note]]:
    if name in CATEGORIES:
        return CATEGORIES[name], []
    words = " ".join(name.replace("-", " ").replace("_", " ").lower().split())
    return words or "object", [Note(reason="category that is none of DIOR's, kept by its own name")]


def _asked(folder: Folder, file: _File) -> Iterator[Annotation | Flaw | Note]:
    yield from file.notes
    image = _image(folder, file)
    for split in dict.fromkeys(e.split for e in file.expressions):
        chosen = [e for e in file.expressions if e.split == split]
        sound = [e for e in chosen if not e.flaw]
        for task in TASKS:
            for e in chosen:
                if e.flaw:
                    yield Flaw(
                        task=task, split=split, image_id=file.image_id, record=f"object {e.number}", reason=e.flaw,
                        detail=e.text,
                    )  # fmt: skip
            if sound:
                facts = tuple(_fact(task, e) for e in sound)
                yield Annotation(task=task, split=split, image=image, facts=facts, objects=file.objects)


def _fact(task: str, expression: _Expression) -> Fact:
    if task == "grounding":
        return Referring(expression=expression.text, item=expression.item)
    return Region(text=expression.text, item=expression.item)


def _image(folder: Folder, file: _File) -> ImageRef:
    part = "JPEGImages-trainval" if int(file.image_id) <= LAST_TRAINVAL else "JPEGImages-test"
    name = f"{file.image_id}.jpg"
    return ImageRef(
        image_id=file.image_id, source_id=name, path=folder.images("JPEGImages", part) / name,
        image_path=f"DIOR-RSVG/{part}/{name}", width=file.size[0], height=file.size[1],
        origin=f"dior/{file.image_id}",
    )  # fmt: skip


BY_IMAGE = (
    "DIOR-RSVG is split by image along DIOR's own parts, as the paper did, and not by its authors' lists of single "
    "expressions, which share images: scores are not comparable with those on the authors' test list."
)

BY_EXPRESSION = (
    "DIOR-RSVG is split by expression, as its authors did: the same image is in several splits, with different "
    "expressions, so scores on its test split are of images that were seen in training."
)


def _adapted(source: Source, options: Options) -> Source:
    """With the authors' split: their counts, no figures of the paper, which split by image, and shared images."""
    if not official_split(options):
        return source
    splits = {"train": (None, 26991), "validation": (None, 3829), "test": (None, 7500)}
    return replace(source, splits=splits, paper={}, shares_images=True, caveat=BY_EXPRESSION)


SOURCE = Source(
    kind="dior_rsvg",
    title="DIOR-RSVG",
    tasks=TASKS,
    read=read,
    layout=(
        "Annotations/<id>.xml",
        "JPEGImages/<id>.jpg",
        '{train,val,test}.txt (for split = "official")',
    ),
    modality="optical",
    license="not stated",
    redistribute=False,
    homepage="https://github.com/ZhanYang-nwpu/RSVG-pytorch",
    citation="""@article{zhan2023rsvg,
  title   = {{RSVG}: Exploring Data and Models for Visual Grounding on Remote Sensing Data},
  author  = {Zhan, Yang and Xiong, Zhitong and Yuan, Yuan},
  journal = {IEEE Transactions on Geoscience and Remote Sensing},
  volume  = {61},
  pages   = {1--13},
  year    = {2023}
}""",
    splits={"train": (9466, 19643), "test": (7936, 18677)},
    paper={
        ("grounding", "train"): PaperFigure(images=9466, qa_pairs=19643),
        ("grounding", "test"): PaperFigure(images=7936, qa_pairs=18677),
        ("region_captioning", "train"): PaperFigure(images=9466, qa_pairs=19643),
    },
    options=(SPLIT,),
    caveat=BY_IMAGE,
    adapted=_adapted,
)
