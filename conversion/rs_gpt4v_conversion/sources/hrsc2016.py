"""HRSC2016: rotated boxes of ships in 1,061 images of harbours from Google Earth.

    FullDataSet/Annotations/<id>.xml, FullDataSet/AllImages/<id>.bmp
    ImageSets/{train,val,test}.txt, or {trainval,test}.txt: one id a line; also FullDataSet/ImageSets
    or, older: {Train,Test}/Annotations/<id>.xml, {Train,Test}/AllImages/<id>.bmp, with those lists or without

    <HRSC_Image><Img_SizeWidth>900</Img_SizeWidth><Img_SizeHeight>700</Img_SizeHeight>
      <Img_Resolution>1.07</Img_Resolution><HRSC_Objects><HRSC_Object>
        <Class_ID>100000018</Class_ID><difficult>0</difficult>
        <box_xmin>4</box_xmin><box_ymin>9</box_ymin><box_xmax>87</box_xmax><box_ymax>72</box_ymax>
        <mbox_cx>45.5</mbox_cx><mbox_cy>41.0</mbox_cy><mbox_w>80.0</mbox_w><mbox_h>20.0</mbox_h>
        <mbox_ang>0.3</mbox_ang><header_x>83</header_x><header_y>52</header_y></HRSC_Object></HRSC_Objects></HRSC_Image>

Official counts: 436 / 181 / 444 images and 1,207 / 541 / 1,228 ships. trainval.txt is read as train where neither
train.txt nor val.txt is there; without lists, Train is train and Test is test. An image in two lists, or in both
folders, stays in the later split.

A rotated box is its centre, its sides and a turn in RADIANS, clockwise as one looks at the image (mmrotate's hrsc.py
and cv2.boxPoints read it so, and the marks at the bow agree). The mark (header_x, header_y) is at the bow: the first
corner is the one left of it, as on DOTA's ships, where it is nearer to the one end of the longer side or to the other.
Without a mark (both missing, or both 0) the first corner is the top left one before the turn, with a note. The upright
box is the annotators' own, close around the ship; where it is missing or has no area, the one around the rotated box.

Class_ID is 100000001 to 100000033 without 21 and 23. All of them, yachts, hovercraft and submarines too, are ships:
that is the set's common use, and `classes = "ship"`, the default. `classes = "fine"` asks for the 24 kinds that have a
name in words. An object that is marked as nothing finer than ship, aircraft carrier, warcraft or merchant ship, or as
one of two kinds whose names are no words (19, `OXo|--)`, and 28, `lute`), is then kept as one to ignore, and the kinds
that it may be of are uncertain in its image. Two pairs of kinds differ by a drawing of the deck only, `Car
carrier([]==[])` and `Car carrier(======|`, the container ships likewise: they are one kind each. `difficult` is kept.
Of images without ships some are asked whether there is one. Img_Resolution is metres per pixel.

Academic use; the images are not passed on.
"""

import math
from collections.abc import Iterator
from pathlib import Path
from xml.etree.ElementTree import Element

from rs_gpt4v_conversion.errors import SourceError
from rs_gpt4v_conversion.geometry import corners
from rs_gpt4v_conversion.records import ImageRef, Note, Obb, Scene
from rs_gpt4v_conversion.sources._boxes import Placed, rotated, upright
from rs_gpt4v_conversion.sources._folder import Folder
from rs_gpt4v_conversion.sources._lists import Lists, annotated, read_lists
from rs_gpt4v_conversion.sources._scene import Marks
from rs_gpt4v_conversion.sources._source import BOXES, Option, Options, Source, box_form
from rs_gpt4v_conversion.sources._voc import Size, flag, image_size, name_note, numbers, xml_files
from rs_gpt4v_conversion.sources._xml import load_xml, number, text

SPLITS = {"train": "train", "val": "validation", "test": "test"}
WITHOUT_VAL = {"trainval": "train", "test": "test"}
FOLDERS = {"Train": "train", "Test": "test"}

CLASSES = Option(name="classes", help="one category for all ships, or their kinds", choices=("ship", "fine"))

SHIP, CARRIER, WARCRAFT, MERCHANT = "100000001", "100000002", "100000003", "100000004"

KINDS: dict[str, tuple[str, str]] = {
    "100000005": ("nimitz-class aircraft carrier", CARRIER),
    "100000006": ("enterprise-class aircraft carrier", CARRIER),
    "100000007": ("arleigh burke-class destroyer", WARCRAFT),
    "100000008": ("whidbey island-class landing ship", WARCRAFT),
    "100000009": ("perry-class frigate", WARCRAFT),
    "100000010": ("san antonio-class transport dock", WARCRAFT),
    "100000011": ("ticonderoga-class cruiser", WARCRAFT),
    "100000012": ("kitty hawk-class aircraft carrier", CARRIER),
    "100000013": ("kuznetsov-class aircraft carrier", CARRIER),
    "100000014": ("abukuma-class destroyer escort", WARCRAFT),
    "100000015": ("austin-class transport dock", WARCRAFT),
    "100000016": ("tarawa-class assault ship", CARRIER),
    "100000017": ("blue ridge-class command ship", WARCRAFT),
    "100000018": ("container ship", MERCHANT),
    "100000020": ("car carrier", MERCHANT),
    "100000022": ("hovercraft", MERCHANT),
    "100000024": ("yacht", MERCHANT),
    "100000025": ("container ship", MERCHANT),
    "100000026": ("cruise ship", MERCHANT),
    "100000027": ("submarine", SHIP),
    "100000029": ("medical ship", WARCRAFT),
    "100000030": ("car carrier", MERCHANT),
    "100000031": ("ford-class aircraft carrier", CARRIER),
    "100000032": ("midway-class aircraft carrier", CARRIER),
    "100000033": ("invincible-class aircraft carrier", CARRIER),
}
"""Kind in our words and the class that it is of, by the source's code; the classes are the set's own (a Tarawa is one
of its carriers, a medical ship one of its warcraft)."""

GENERAL = {
    SHIP: ("ship", SHIP),
    CARRIER: ("aircraft carrier", CARRIER),
    WARCRAFT: ("warcraft", WARCRAFT),
    MERCHANT: ("merchant ship", MERCHANT),
    "100000019": ("warcraft", WARCRAFT),
    "100000028": ("warcraft", WARCRAFT),
}
"""Codes that name no kind: what is said instead, and the class whose kinds it may be of."""

FINE = tuple(dict.fromkeys(kind for kind, _ in KINDS.values()))


def read(folder: Folder, options: Options) -> Iterator[Scene | Note]:
    """Read the ships of every split that is in the folder.

    Yields:
        A scene an image; notes for what was left out.

    Raises:
        SourceError: No annotation file or list is there, none of the listed images has a file, or a file is not of this
            form.
    """
    bases = [folder.root / n for n in ("FullDataSet", *FOLDERS) if (folder.root / n / "Annotations").is_dir()]
    files = {name: path for base in bases for name, path in xml_files(base / "Annotations").items()}
    if not files:
        raise SourceError(folder.root, "no annotation file", "FullDataSet/Annotations/<id>.xml", do="check `root`")
    lists = _lists(folder, files)
    images, notes = annotated(lists, files, folder.root)
    yield from (*lists.notes, *notes)
    fine = options.get("classes") == "fine"
    for name, split in images:
        root = load_xml(folder, files[name], "HRSC_Image")
        path = files[name].parent.parent / "AllImages" / f"{name}.bmp"
        size, unsized = image_size(root, folder, path, "Img_SizeWidth", "Img_SizeHeight")
        marks = _marks(root, size, fine=fine)
        gsd = number(root, "Img_Resolution")
        ref = ImageRef(
            image_id=name, source_id=f"{name}.bmp", path=path, image_path=f"HRSC2016/AllImages/{name}.bmp",
            width=size[0], height=size[1], gsd=gsd if gsd is not None and gsd > 0 else None, origin=f"hrsc2016/{name}",
        )  # fmt: skip
        yield from (*unsized, *name_note(root, name, "Img_FileName"), *marks.notes)
        yield marks.scene(split, ref, _searched(marks) if fine else ("ship",), box_form(options))


def _lists(folder: Folder, files: dict[str, Path]) -> Lists:
    """The official lists, or what stands in for them in the older layout."""
    where = folder.images("ImageSets", "FullDataSet/ImageSets")
    if not where.is_dir() and not (folder.root / "FullDataSet" / "Annotations").is_dir():
        by_folder = {name: FOLDERS[path.parent.parent.name] for name, path in files.items()}
        missing = [n for n, split in FOLDERS.items() if split not in by_folder.values()]
        notes = [Note(reason="no official lists in the folder: Train and Test are the splits")]
        notes += [Note(reason=f"no files in the folder {n!r}") for n in missing]
        return Lists(by_folder, tuple(notes))
    whole = any((where / f"{name}.txt").exists() for name in ("train", "val"))
    return read_lists(folder, where, SPLITS if whole else WITHOUT_VAL)


def _marks(root: Element, size: Size, *, fine: bool) -> Marks:
    marks = Marks()
    for item in root.findall("HRSC_Objects/HRSC_Object"):
        code = text(item, "Class_ID")
        if code not in KINDS and code not in GENERAL:
            marks.notes.append(Note(reason="class code that HRSC2016 does not have: a ship of no known kind"))
        placed, difficult = _placed(item, size), flag(item, "difficult")
        if not fine:
            marks.add("ship", placed, difficult=difficult)
        elif code in KINDS:
            marks.add(KINDS[code][0], placed, difficult=difficult)
        else:
            _add_general(marks, code, placed, difficult=difficult)
    return marks


def _add_general(marks: Marks, code: str, placed: Placed, *, difficult: bool) -> None:
    """Enter a ship of no known kind: one to ignore, which makes the kinds uncertain that it may be of."""
    name, parent = GENERAL.get(code, GENERAL[SHIP])
    within = {kind for kind, above in KINDS.values() if parent in (SHIP, above)}
    marks.notes.append(Note(reason=f"{name} of no known kind, not asked about"))
    marks.unsure(*within)
    if placed.bbox is None:
        marks.notes.extend(placed.notes)
    else:
        marks.add(name, placed, difficult=difficult, ignore=True)


def _searched(marks: Marks) -> tuple[str, ...]:
    """All kinds, and what is here of no known kind: it is doubtful itself, but not what is none of its kinds."""
    return (*FINE, *sorted({o.category for o in marks.objects if o.ignore}))


def _placed(item: Element, size: Size) -> Placed:
    cx, cy, w, h, angle = numbers(item, "mbox_cx", "mbox_cy", "mbox_w", "mbox_h", "mbox_ang")
    turned = rotated(_from_bow(item, corners(cx, cy, max(w, 0.0), max(h, 0.0), angle), lengthwise=w >= h), *size)
    if turned.obb is None:
        return turned
    notes = turned.notes
    if _bow(item) is None:
        notes += (Note(reason="ship without a mark at its bow: corners from the top left before the turn"),)
    flat = upright(numbers(item, "box_xmin", "box_ymin", "box_xmax", "box_ymax"), *size)
    if flat.bbox is None:
        notes += (Note(reason="ship without a usable upright box: the one around the rotated box"),)
        return Placed(turned.bbox, turned.obb, notes)
    return Placed(flat.bbox, turned.obb, notes + flat.notes)


def _bow(item: Element) -> tuple[float, float] | None:
    x, y = number(item, "header_x"), number(item, "header_y")
    return None if x is None or y is None or (x == 0 and y == 0) else (x, y)


def _from_bow(item: Element, obb: Obb, *, lengthwise: bool) -> Obb:
    """The corners from the one left of the bow: the first of the two at that end of the longer side, clockwise."""
    bow = _bow(item)
    if bow is None:
        return obb
    points = [(obb[i], obb[i + 1]) for i in range(0, 8, 2)]
    starts = (1, 3) if lengthwise else (0, 2)
    ends = {i: _middle(points[i], points[(i + 1) % 4]) for i in starts}
    start = min(ends, key=lambda i: math.dist(ends[i], bow))
    a, b, c, d = points[start:] + points[:start]
    return (*a, *b, *c, *d)


def _middle(a: tuple[float, float], b: tuple[float, float]) -> tuple[float, float]:
    return (a[0] + b[0]) / 2, (a[1] + b[1]) / 2


SOURCE = Source(
    kind="hrsc2016",
    title="HRSC2016",
    tasks=("vqa", "grounding"),
    read=read,
    layout=(
        "ImageSets/{train,val,test}.txt",
        "FullDataSet/Annotations/<id>.xml",
        "FullDataSet/AllImages/<id>.bmp",
    ),
    modality="optical",
    license="academic use",
    redistribute=False,
    homepage="https://sites.google.com/site/hrsc2016/",
    citation="""@inproceedings{liu2017hrsc2016,
  title     = {A High Resolution Optical Satellite Image Dataset for Ship Recognition and Some New Baselines},
  author    = {Liu, Zikun and Yuan, Liu and Weng, Lubin and Yang, Yiping},
  booktitle = {International Conference on Pattern Recognition Applications and Methods},
  volume    = {2},
  pages     = {324--331},
  year      = {2017}
}""",
    splits={"train": (436, 1207), "validation": (181, 541), "test": (444, 1228)},
    options=(BOXES, CLASSES),
    detects=True,
)
