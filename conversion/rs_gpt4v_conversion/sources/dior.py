"""DIOR and DIOR-R: upright and rotated boxes of the same objects, 20 categories in 23,463 images of 800x800 pixels.

    ImageSets/Main/{train,val,test}.txt              one id a line
    Annotations/Horizontal Bounding Boxes/<id>.xml   DIOR, VOC
    Annotations/Oriented Bounding Boxes/<id>.xml     DIOR-R; one of the two folders is enough
    JPEGImages-trainval/<id>.jpg                     00001 to 11725; JPEGImages-test/<id>.jpg from 11726

    <object><name>golffield</name><pose>Unspecified</pose>
      <bndbox><xmin>1</xmin><ymin>2</ymin><xmax>9</xmax><ymax>8</ymax></bndbox></object>
    <object><type>robndbox</type><name>golffield</name><truncated>0</truncated><difficult>0</difficult>
      <robndbox><x_left_top>1</x_left_top><y_left_top>2</y_left_top><x_right_top>9</x_right_top>...</robndbox>
      <angle>0</angle></object>

Official counts: 5,862 / 5,863 / 11,738 images; 32,634 / 35,439 / 124,445 boxes of either kind.

The two kinds of boxes were drawn apart, and their order agrees in half of the files only. So they are matched: of one
category, the two that overlap most (intersection over union of the upright box and the upright one around the rotated
one), down to an overlap of 0.1. The threshold is low because every file has as many boxes of a category in one kind as
in the other, while the boxes of small or slanted things differ much: of 192,518 objects 96 % overlap by half or more,
and all but 150 by a tenth. A box without a counterpart stays with the box that it has (the upright one around a rotated
one), with a note, and its category is uncertain in that image, because the same thing may then be there twice. Upright
boxes do not always enclose the rotated ones (they stick out by more than 3 pixels for a quarter): both are kept as
drawn.

Quirks: names in mixed style (`Expressway-Service-area`, `golffield`); 33 rotated files state heights from 782 to 816,
the images are all 800x800, which is what counts; 6 upright and 4 rotated boxes without area are left out; one upright
box ends at 802 and 2,570 rotated ones have a corner outside the image, which is kept; corners run clockwise from the
source's first; `angle` is 0 and not read; `difficult` is in DIOR-R only, and 0. An image in two lists stays in the
later split. `boxes = "obb"` writes rotated boxes and needs DIOR-R.

No licence is stated; research use, images of Google Earth: they are not passed on.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from xml.etree.ElementTree import Element

from rs_gpt4v_conversion.errors import SourceError
from rs_gpt4v_conversion.geometry import envelope
from rs_gpt4v_conversion.records import BBox, ImageRef, Note, Obb, Scene
from rs_gpt4v_conversion.sources._boxes import Placed, rotated, upright
from rs_gpt4v_conversion.sources._dior import CATEGORIES, LAST_TRAINVAL
from rs_gpt4v_conversion.sources._folder import Folder
from rs_gpt4v_conversion.sources._lists import annotated, read_lists
from rs_gpt4v_conversion.sources._match import match
from rs_gpt4v_conversion.sources._scene import Marks
from rs_gpt4v_conversion.sources._source import BOXES, Options, Source, box_form
from rs_gpt4v_conversion.sources._voc import STRAY, UNKNOWN, Vocabulary, element, flag, name_note, numbers, xml_files
from rs_gpt4v_conversion.sources._xml import load_xml, text

SPLITS = {"train": "train", "val": "validation", "test": "test"}

SIDE = 800
"""Width and height of every image, pixels."""

SAME = 0.1
"""Overlap from which an upright and a rotated box may be of one object."""

UPRIGHT, ROTATED = "Horizontal Bounding Boxes", "Oriented Bounding Boxes"

CORNERS = tuple(
    f"{axis}_{corner}" for corner in ("left_top", "right_top", "right_bottom", "left_bottom") for axis in ("x", "y")
)


@dataclass(frozen=True, slots=True)
class _Upright:
    category: str
    box: BBox


@dataclass(frozen=True, slots=True)
class _Rotated:
    category: str
    corners: Obb
    difficult: bool


def read(folder: Folder, options: Options) -> Iterator[Scene | Note]:
    """Read the boxes of every split whose list is in the folder, of both kinds where both are there.

    Yields:
        A scene an image; notes for what was left out.

    Raises:
        SourceError: No list or none of its images' files is there, rotated boxes are wanted and not there, or a file is
            not of this form.
    """
    where = folder.root / "Annotations"
    form = box_form(options)
    lists = read_lists(folder, folder.root / "ImageSets" / "Main", SPLITS)
    kinds = {kind: xml_files(where / kind) for kind in (UPRIGHT, ROTATED)}
    if form == "obb" and not kinds[ROTATED]:
        raise SourceError(
            where / ROTATED, "no file", "DIOR-R's files, because of boxes = 'obb'", do="leave `boxes` out"
        )
    images, notes = annotated(lists, kinds[UPRIGHT].keys() | kinds[ROTATED].keys(), where)
    yield from (*lists.notes, *notes)
    if not all(kinds.values()):
        yield Note(reason=f"no folder Annotations/{ROTATED if kinds[UPRIGHT] else UPRIGHT} with files")
    words = Vocabulary("DIOR", CATEGORIES)
    for name, split in images:
        marks = Marks()
        files = {kind: paths[name] for kind, paths in kinds.items() if name in paths}
        roots = {kind: load_xml(folder, path, "annotation") for kind, path in files.items()}
        for kind, root in roots.items():
            yield from (*_size_note(root), *name_note(root, name))
            if len(files) == 1 and all(kinds.values()):
                yield Note(reason=f"image with a file of the {kind} only")
        flat = list(_upright(roots[UPRIGHT], files[UPRIGHT], words, marks)) if UPRIGHT in files else []
        turned = list(_rotated(roots[ROTATED], files[ROTATED], words, marks)) if ROTATED in files else []
        _place(flat, turned, marks, both=len(files) == 2)
        yield from marks.notes
        yield marks.scene(split, _image(folder, name), words.searched, form)
    words.check()


def _image(folder: Folder, name: str) -> ImageRef:
    part = "JPEGImages-trainval" if int(name) <= LAST_TRAINVAL else "JPEGImages-test"
    return ImageRef(
        image_id=name, source_id=f"{name}.jpg", path=folder.images(part, "JPEGImages") / f"{name}.jpg",
        image_path=f"DIOR/{part}/{name}.jpg", width=SIDE, height=SIDE, origin=f"dior/{name}",
    )  # fmt: skip


def _size_note(root: Element) -> tuple[Note, ...]:
    if numbers(root, "size/width", "size/height") == (SIDE, SIDE):
        return ()
    return (Note(reason=f"file that states another size than the images' {SIDE}x{SIDE}, which counts"),)


def _upright(root: Element, file: Path, words: Vocabulary, marks: Marks) -> Iterator[_Upright]:
    for i, item in enumerate(root.findall("object")):
        category = words.word(text(item, "name"), file, f"object[{i}]")
        x1, y1, x2, y2 = numbers(element(item, "bndbox", file, f"object[{i}]"), "xmin", "ymin", "xmax", "ymax")
        if category is None:
            marks.doubt(UNKNOWN, STRAY)
        else:
            yield _Upright(category, (x1, y1, x2, y2))


def _rotated(root: Element, file: Path, words: Vocabulary, marks: Marks) -> Iterator[_Rotated]:
    for i, item in enumerate(root.findall("object")):
        category = words.word(text(item, "name"), file, f"object[{i}]")
        a, b, c, d, e, f, g, h = numbers(element(item, "robndbox", file, f"object[{i}]"), *CORNERS)
        if category is None:
            marks.doubt(UNKNOWN, STRAY)
        else:
            yield _Rotated(category, (a, b, c, d, e, f, g, h), flag(item, "difficult"))


def _place(flat: list[_Upright], turned: list[_Rotated], marks: Marks, *, both: bool) -> None:
    """Enter all objects: the upright boxes in their order with their rotated ones, then the other rotated ones."""
    pairs = match([(o.category, o.box) for o in flat], [(o.category, envelope(o.corners)) for o in turned], SAME)
    for i, thing in enumerate(flat):
        placed = upright(thing.box, SIDE, SIDE)
        if i in pairs:
            other = turned[pairs[i]]
            marks.add(thing.category, _joined(placed, rotated(other.corners, SIDE, SIDE)), difficult=other.difficult)
            continue
        marks.add(thing.category, placed)
        if both:
            marks.notes.append(Note(reason="upright box without a rotated one of its category and place"))
            marks.unsure(thing.category)
    taken = set(pairs.values())
    for other in (o for j, o in enumerate(turned) if j not in taken):
        marks.add(other.category, rotated(other.corners, SIDE, SIDE), difficult=other.difficult)
        if both:
            marks.notes.append(Note(reason="rotated box without an upright one of its category and place"))
            marks.unsure(other.category)


def _joined(flat: Placed, turned: Placed) -> Placed:
    if turned.obb is None:
        return Placed(
            flat.bbox, None, (*flat.notes, Note(reason="rotated box that cannot be used: the upright one stays"))
        )
    return Placed(flat.bbox, turned.obb, flat.notes + turned.notes)


SOURCE = Source(
    kind="dior",
    title="DIOR and DIOR-R",
    tasks=("vqa", "grounding"),
    read=read,
    layout=(
        "ImageSets/Main/{train,val,test}.txt",
        "Annotations/{Horizontal,Oriented} Bounding Boxes/<id>.xml",
        "JPEGImages-{trainval,test}/<id>.jpg",
    ),
    modality="optical",
    license="not stated",
    redistribute=False,
    homepage="https://gcheng-nwpu.github.io/#Datasets",
    citation="""@article{li2020dior,
  title   = {Object Detection in Optical Remote Sensing Images: A Survey and a New Benchmark},
  author  = {Li, Ke and Wan, Gang and Cheng, Gong and Meng, Liqiu and Han, Junwei},
  journal = {ISPRS Journal of Photogrammetry and Remote Sensing},
  volume  = {159},
  pages   = {296--307},
  year    = {2020}
}

@article{cheng2022diorr,
  title   = {Anchor-Free Oriented Proposal Generator for Object Detection},
  author  = {Cheng, Gong and Wang, Jiabao and Li, Ke and Xie, Xingxing and Lang, Chunbo and Yao, Yanqing and Han,
             Junwei},
  journal = {IEEE Transactions on Geoscience and Remote Sensing},
  volume  = {60},
  pages   = {1--11},
  year    = {2022}
}""",
    splits={"train": (5862, 32634), "validation": (5863, 35439), "test": (11738, 124445)},
    options=(BOXES,),
    detects=True,
)
