"""SSDD: ships in 1,160 radar images, in the official release of 2021 with upright boxes, rotated boxes and outlines.

    Official-SSDD-OPEN/{BBox_RBox_PSeg_SSDD,RBox_SSDD}/voc_style/Annotations_{train,test}/<name>.xml    rotated boxes
    Official-SSDD-OPEN/{BBox_RBox_PSeg_SSDD,BBox_SSDD}/coco_style/annotations/{train,test}.json         upright boxes
    .../coco_style/images/{train,test}/<name>.jpg, .../voc_style/JPEGImages_{train,test}/<name>.jpg     the same images

    <annotation><size><width>420</width><height>320</height></size>
      <object><name>ship</name>
        <bndbox><xmin>40</xmin><ymin>52</ymin><xmax>79</xmax><ymax>91</ymax></bndbox>
        <rotated_bndbox><x1>48</x1><y1>50</y1> ... <x4>38</x4><y4>60</y4></rotated_bndbox></object></annotation>

    {"images": [{"id": 0, "file_name": "900002.jpg", "width": 420, "height": 320, "license": 0, "url": null}],
     "annotations": [{"id": 0, "image_id": 0, "category_id": 1, "bbox": [40.0, 52.0, 40.0, 40.0], "area": 700.0,
                      "segmentation": [[48, 50, 79, 81, ...]], "iscrowd": 0}],
     "type": "instances", "categories": [{"id": 1, "name": "ship", "supercategory": null}]}

Read is the first that is there, below the root: XML with rotated boxes, then JSON (also of `RBox_SSDD` or `PSeg_SSDD`),
then BBox_SSDD's XML; the root may be one of these folders, too. The file of all 1,160 images in one, with outlines, is
named by `annotations`; it does not say the split, so that is the official rule: test where the last digit of the name
is 1 or 9.

Official counts: 928 / 232 images and 2,041 / 546 ships; 2,040 / 546 in the file of outlines. 805 different sizes. In
XML a box counts its last row and column (the JSON's is as wide); `RBox_SSDD` has no `bndbox`, then the upright box is
the part of the rotated one's envelope in the image. In JSON an outline of four points is a rotated box unless it is the
upright one again; other ships have an upright box only, and with `boxes = "obb"` nothing is asked about their boxes.

The names of folders, fields and the file of outlines were seen in public code and in that file; the release itself was
not at hand. Its terms are not stated (the repository is under Apache-2.0), so the images may not be passed on.
"""

from collections.abc import Callable, Iterator
from pathlib import Path
from xml.etree.ElementTree import Element

from rs_gpt4v_conversion.errors import SourceError
from rs_gpt4v_conversion.records import BoxForm, Flaw, ImageRef, Note, Scene
from rs_gpt4v_conversion.sources._boxes import Placed, rotated, upright, with_corners
from rs_gpt4v_conversion.sources._coco import CocoForm, read_coco
from rs_gpt4v_conversion.sources._folder import Folder, files_by_stem
from rs_gpt4v_conversion.sources._names import image_name_flaw
from rs_gpt4v_conversion.sources._scene import Marks
from rs_gpt4v_conversion.sources._source import ANNOTATIONS, BOXES, Options, Source, box_form, option_path
from rs_gpt4v_conversion.sources._xml import load_xml, number, size, text

SPLITS = ("train", "test")

PLACES = (
    "BBox_RBox_PSeg_SSDD/voc_style", "RBox_SSDD/voc_style", "voc_style", ".",
    "BBox_RBox_PSeg_SSDD/coco_style", "RBox_SSDD/coco_style", "PSeg_SSDD/coco_style", "BBox_SSDD/coco_style",
    "coco_style", "BBox_SSDD/voc_style",
)  # fmt: skip
"""Folders of annotations, those with rotated boxes first."""

WORDS = {"ship": "ship"}

CORNERS = ("x1", "y1", "x2", "y2", "x3", "y3", "x4", "y4")


def read(folder: Folder, options: Options) -> Iterator[Scene | Flaw | Note]:
    """Read the richest annotations in the folder, or the file that `annotations` names.

    Yields:
        A scene an image; notes for what was left out; a flaw for each category of an image that cannot be used.

    Raises:
        SourceError: No annotations are there, or a file is not of this form.
    """
    form = box_form(options)
    seen: dict[str, str] = {}
    if "annotations" in options:
        path = option_path(options, "annotations", folder.root)
        yield from read_coco(folder, path, _coco_form(official_split, _whole(folder), form), seen)
        return
    for place in PLACES:
        root = folder.root / place
        for split in SPLITS:
            if files_by_stem(root / f"Annotations_{split}", ".xml"):
                yield from _read_xml(folder, root, form, seen)
                return
            if (root / f"annotations/{split}.json").exists():
                yield from _read_json(folder, place, form, seen)
                return
    expected = "BBox_RBox_PSeg_SSDD, RBox_SSDD or BBox_SSDD of the official release"
    raise SourceError(folder.root, "none of them", expected, do="or name the JSON file by `annotations`")


def official_split(name: str) -> str:
    """The split of an image by its name."""
    return "test" if Path(name).stem.endswith(("1", "9")) else "train"


def _read_json(folder: Folder, place: str, form: BoxForm, seen: dict[str, str]) -> Iterator[Scene | Flaw | Note]:
    for split in SPLITS:
        path = folder.root / place / f"annotations/{split}.json"
        if not path.exists():
            yield _missing(split)
            continue
        beside = place.replace("coco_style", "voc_style")
        images = folder.images(
            f"{place}/images/{split}", f"{place}/JPEGImages_{split}", f"{beside}/JPEGImages_{split}",
            f"{beside}/JPEGImages", f"JPEGImages_{split}", "JPEGImages",
        )  # fmt: skip
        yield from read_coco(folder, path, _coco_form(split, images, form), seen)


def _coco_form(split: str | Callable[[str], str], images: Path, form: BoxForm) -> CocoForm:
    return CocoForm(
        collection="ssdd", split=split, images=images,
        image_path="SSDD/JPEGImages", words=WORDS, boxes=form, quads=True,
    )  # fmt: skip


def _whole(folder: Folder) -> Path:
    """A folder with the images of both splits."""
    return folder.images("JPEGImages", "images", *(f"{place}/JPEGImages" for place in PLACES))


def _read_xml(folder: Folder, root: Path, form: BoxForm, seen: dict[str, str]) -> Iterator[Scene | Flaw | Note]:
    for split in SPLITS:
        files = files_by_stem(root / f"Annotations_{split}", ".xml")
        images = next(
            (p for p in (root / f"JPEGImages_{split}", root / "JPEGImages") if p.is_dir()), root / "JPEGImages"
        )
        if not files:
            yield _missing(split)
            continue
        for path in files.values():
            yield from _read_image(folder, path, split, images, form, seen)
        if images.name != "JPEGImages":
            alone = files_by_stem(images, ".jpg").keys() - files.keys()
            if alone:
                yield Note(reason="image without a file of its boxes", count=len(alone))


def _read_image(
    folder: Folder, path: Path, split: str, images: Path, form: BoxForm, seen: dict[str, str]
) -> Iterator[Scene | Flaw | Note]:
    content = load_xml(folder, path, "annotation")
    width, height = size(content, path)
    marks = Marks()
    for i, thing in enumerate(content.iterfind("object")):
        name = text(thing, "name")
        if name.lower() not in WORDS:
            raise SourceError(path, repr(name), "ship", record=f"object {i + 1}, name")
        placed = _placed(thing, width, height)
        if placed is None:
            marks.doubt("ship", "object without a box, left out")
        else:
            marks.add("ship", placed)
    stem = path.stem
    flaw = image_name_flaw(stem) or ("image listed twice" if stem in seen else "")
    if flaw:
        yield from marks.flaws(split, ascii(stem)[1:-1], flaw, ascii(path.name))
        return
    seen[stem] = path.name
    ref = ImageRef(
        image_id=stem, source_id=f"{stem}.jpg", path=images / f"{stem}.jpg",
        image_path=f"SSDD/JPEGImages/{stem}.jpg", width=width, height=height, origin=f"ssdd/{stem}",
    )  # fmt: skip
    yield from marks.notes
    yield marks.scene(split, ref, ("ship",), form)


def _placed(thing: Element, width: int, height: int) -> Placed | None:
    sides = [number(thing, f"bndbox/{side}") for side in ("xmin", "ymin", "xmax", "ymax")]
    corners = [number(thing, f"rotated_bndbox/{corner}") for corner in CORNERS]
    turned = None if None in corners else rotated([c for c in corners if c is not None], width, height)
    if None in sides:
        return turned
    x1, y1, x2, y2 = (side for side in sides if side is not None)
    placed = upright((x1, y1, x2 + 1, y2 + 1), width, height)
    return placed if turned is None else with_corners(placed, turned)


def _missing(split: str) -> Note:
    return Note(reason=f"no annotations of the official split {split!r} in the folder")


SOURCE = Source(
    kind="ssdd",
    title="SSDD",
    tasks=("vqa", "grounding"),
    read=read,
    layout=(
        "RBox_SSDD/voc_style/Annotations_{train,test}/<name>.xml",
        "RBox_SSDD/voc_style/JPEGImages_{train,test}/<name>.jpg",
        "or BBox_SSDD/coco_style/{annotations/{train,test}.json,images/{train,test}/<name>.jpg}",
    ),
    modality="sar",
    license="not stated (repository Apache-2.0)",
    redistribute=False,
    homepage="https://github.com/TianwenZhang0825/Official-SSDD",
    citation="""@article{zhang2021ssdd,
  title   = {{SAR} Ship Detection Dataset ({SSDD}): Official Release and Comprehensive Data Analysis},
  author  = {Zhang, Tianwen and Zhang, Xiaoling and Li, Jianwei and Xu, Xiaowo and Wang, Baoyou and Zhan, Xu and
             Xu, Yanqin and Ke, Xiao and Zeng, Tianjiao and Su, Hao and others},
  journal = {Remote Sensing},
  volume  = {13},
  number  = {18},
  pages   = {3690},
  year    = {2021}
}""",
    splits={"train": (928, 2041), "test": (232, 546)},
    options=(ANNOTATIONS, BOXES),
    detects=True,
)
