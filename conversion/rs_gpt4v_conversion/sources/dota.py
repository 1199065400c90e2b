"""DOTA: rotated boxes in 1,869 aerial images of up to 20,000 pixels a side (2,423 in version 2.0).

    DOTA/{train,val}/images/P0001.png               or images/images/, images/part<n>/, images/part<n>/images/
    DOTA/{train,val}/labelTxt-v1.5/P0001.txt        or another folder of the version, see `label_folders`
    DOTA/test/images/P0006.png                      without labels: they are not published

    imagesource:GoogleEarth
    gsd:0.25
    12.0 30.0 96.0 33.0 95.0 61.0 11.0 58.0 large-vehicle 0

A line is four corners, the category and whether it is difficult (0; 1; 2 from tools that cut tiles; nothing is 0). The
first corner is the one left of the object's head, so it stays the first. Versions 1.0, 1.5 and 2.0 label the same
images anew: 15, 16 (`container-crane`) and 18 categories (`airport`, `helipad`), with tiny objects from 1.5 on. One
version is read, `annotation_version`, 1.0 unless said otherwise, and never two of one image: two folders of labels that
may be of the version are refused, and so is a label of a later version.

Also read is a root that itself holds labels and images, as tools leave them (`split` says which split that is, train
unless said otherwise). Official counts: 1,411 / 458 images and 98,990 / 28,853 objects in version 1.0, 210,631 / 69,565
in 1.5; 1,830 / 593 images in 2.0.

- Up to three lines of a head (`imagesource:`, `gsd:` with metres per pixel or None, `acquisition dates:`), or none;
  line ends of either system; numbers with or without a point, negative or beyond the image.
- A line of fewer than nine words is passed over, as the authors' kit does, with a note. Where it is an object without
  its category (eight numbers, or numbers at the end of a file that is cut off there), no category of the image is
  counted or said to be absent.
- A file of a head alone, or an empty one, is an image without objects.
- A folder whose name ends in `_hbb` (or `Task2_gt`) has upright boxes in the same form; it is never taken. They were
  found to overwrite the rotated ones where both archives are unpacked in one place: a split with nothing but upright
  boxes gets a note.
- Images without labels are noted. Labels without their image make a scene all the same, of unknown size.

Images larger than 1,024 pixels are cut into tiles of that side (`tile`). They are from Google Earth, GF-2, JL-1 and
CycloMedia, for academic use only, and may not be passed on.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from rs_gpt4v_conversion.errors import SourceError
from rs_gpt4v_conversion.records import BoxForm, Flaw, ImageRef, Note, Scene
from rs_gpt4v_conversion.sources._boxes import rotated
from rs_gpt4v_conversion.sources._folder import Folder, files_by_stem
from rs_gpt4v_conversion.sources._names import image_name_flaw
from rs_gpt4v_conversion.sources._scene import Marks
from rs_gpt4v_conversion.sources._source import BOXES, TILING, Option, Options, Source, box_form

SPLITS = {"train": "train", "val": "validation"}

CATEGORIES = {
    "1.0": (
        "plane", "ship", "storage-tank", "baseball-diamond", "tennis-court", "basketball-court", "ground-track-field",
        "harbor", "bridge", "large-vehicle", "small-vehicle", "helicopter", "roundabout", "soccer-ball-field",
        "swimming-pool",
    ),
    "1.5": ("container-crane",),
    "2.0": ("airport", "helipad"),
}  # fmt: skip
"""The source's names by the version that began with them."""

VERSIONS = tuple(CATEGORIES)

SUFFIXES = (".png", ".jpg", ".tif", ".tiff", ".bmp")

FEWEST_UPRIGHT = 20
"""With so many boxes or more, all of them upright, a split is noted: rotated ones are not."""

ANNOTATION_VERSION = Option(name="annotation_version", help="which of DOTA's labels are read", choices=VERSIONS)

SPLIT = Option(
    name="split", help="of which split a root is that itself holds labels and images", choices=("train", "validation")
)


def read(folder: Folder, options: Options) -> Iterator[Scene | Flaw | Note]:
    """Read the labels of one version of every split that is in the folder.

    Yields:
        A whole image a scene; notes for what was left out; a flaw for each category of an image that cannot be used.

    Raises:
        SourceError: No labels of the version are there, or two folders of them; or a file is not of this form.
    """
    version = str(options.get("annotation_version", VERSIONS[0]))
    form = box_form(options)
    seen: set[str] = set()
    parts = _parts(folder.root, version, options)
    if not any(parts.values()):
        expected = f"{{train,val}}/labelTxt-v{version}/<name>.txt, or labelTxt and images"
        raise SourceError(folder.root, f"no labels of version {version}", expected, do="check `root`")
    for theirs, part in parts.items():
        if part is None:
            yield Note(reason=f"no labels of the official split {theirs!r} in the folder")
        else:
            yield from _read_part(folder, part, version, form, seen)
    if (folder.root / "test").is_dir():
        yield Note(reason="folder of the official split 'test', whose labels are not published: not read")


@dataclass(frozen=True, slots=True, kw_only=True)
class _Part:
    """Where one split lies."""

    split: str
    labels: Path
    folder: Path  # that holds `images`
    image_path: str


@dataclass(slots=True)
class _Labels:
    """What one file of labels says."""

    marks: Marks = field(default_factory=Marks)
    gsd: float | None = None
    heads: int = 0  # lines of the head
    objects: int = 0  # lines with an object
    upright: int = 0  # of them, those with an upright box


def label_folders(split: str, version: str) -> tuple[str, ...]:
    """The folders in which the rotated boxes of a version may lie, below that of their split."""
    own = (
        f"labelTxt-v{version}", f"labelTxt-v{version}/labelTxt", f"labelTxt-v{version}/DOTA-v{version}_{split}",
        f"labelTxt/DOTA-v{version}_{split}", f"annotations/version{version}",
    )  # fmt: skip
    return (*own, "labelTxt") if version == VERSIONS[0] else own


def _parts(root: Path, version: str, options: Options) -> dict[str, _Part | None]:
    """The official splits by their folder's name, None where there are no labels; or the one that the root is."""
    if not any((root / theirs).is_dir() for theirs in SPLITS):
        split = str(options.get("split", "train"))
        theirs = next(t for t, s in SPLITS.items() if s == split)
        return {theirs: _part(root, theirs, version)}
    if "split" in options:
        expected = "labels and images, where `split` is given"
        raise SourceError(root, "folders of splits", expected, do="leave `split` out")
    return {theirs: _part(root / theirs, theirs, version) for theirs in SPLITS}


def _part(root: Path, theirs: str, version: str) -> _Part | None:
    held = _held(root, theirs, version)
    if len(held) > 1:
        expected = f"one folder of labels of version {version}"
        raise SourceError(root, " and ".join(held), expected, do="move the other one away")
    if held:
        return _Part(split=SPLITS[theirs], labels=root / held[0], folder=root, image_path=f"DOTA/{theirs}/images")
    others = [v for v in VERSIONS if _held(root, theirs, v)]
    if others:
        raise SourceError(
            root, f"labels of version {', '.join(others)}", f"labels of version {version}",
            do="set `annotation_version`, or name the folder by its version",
        )  # fmt: skip
    return None


def _held(root: Path, theirs: str, version: str) -> list[str]:
    return [name for name in label_folders(theirs, version) if files_by_stem(root / name, ".txt")]


def _read_part(
    folder: Folder, part: _Part, version: str, form: BoxForm, seen: set[str]
) -> Iterator[Scene | Flaw | Note]:
    images = _images(part.folder)
    searched = _searched(version)
    objects = turned = 0
    for path in files_by_stem(part.labels, ".txt").values():
        image = images.pop(path.stem, part.folder / "images" / f"{path.stem}.png")
        size = folder.size(image)
        labels = _read_labels(folder, path, version, size)
        objects += labels.objects
        turned += labels.objects - labels.upright
        flaw = image_name_flaw(path.stem) or ("image listed twice" if path.stem in seen else "")
        if flaw:
            yield from labels.marks.flaws(part.split, ascii(path.stem)[1:-1], flaw, ascii(path.name))
            continue
        seen.add(path.stem)
        width, height = size or (None, None)
        ref = ImageRef(
            image_id=path.stem, source_id=image.name, path=image, image_path=f"{part.image_path}/{image.name}",
            width=width, height=height, gsd=labels.gsd, origin=f"dota/{path.stem}",
        )  # fmt: skip
        yield from labels.marks.notes
        yield labels.marks.scene(part.split, ref, searched, form)
    if images:
        yield Note(reason="image without a file of labels", count=len(images))
    if objects >= FEWEST_UPRIGHT and not turned:
        yield Note(
            reason=f"all boxes of the split {part.split!r} are upright: are these the labels of the rotated ones?"
        )


def _images(root: Path) -> dict[str, Path]:
    """The images of a split by name; the first of two that differ in their ending alone."""
    found: dict[str, Path] = {}
    for pattern in ("images/*", "images/images/*", "images/part*/*", "images/part*/images/*"):
        paths = [p for p in root.glob(pattern) if p.suffix.lower() in SUFFIXES and not p.name.startswith(".")]
        for path in sorted(paths, key=lambda p: (SUFFIXES.index(p.suffix.lower()), p)):
            found.setdefault(path.stem, path)
    return found


def _searched(version: str) -> tuple[str, ...]:
    known = VERSIONS[: VERSIONS.index(version) + 1]
    return tuple(name.replace("-", " ") for v in known for name in CATEGORIES[v])


def _read_labels(folder: Folder, path: Path, version: str, size: tuple[int, int] | None) -> _Labels:
    text = folder.text(path, "DOTA's labels")
    labels = _Labels()
    searched = _searched(version)
    lines = text.splitlines()
    for i, line in enumerate(lines, 1):
        words = line.split()
        key, colon, value = line.strip().partition(":")
        if colon and key.lower() in ("imagesource", "gsd", "acquisition dates"):
            labels.heads += 1
            labels.gsd = _gsd(value) if key.lower() == "gsd" else labels.gsd
        elif len(words) >= 9:
            labels.objects += 1
            category = _category(words[8], version, path, i)
            _add(labels, category, words, size)
        elif words:
            cut_off = i == len(lines) and not text.endswith("\n")
            lost = (len(words) == 8 or cut_off) and None not in map(_number, words)
            labels.marks.lose(searched if lost else (), "line of fewer than nine words, passed over")
    if text.strip() and not labels.heads and not labels.objects:
        raise SourceError(path, "neither a head nor an object", "DOTA's labels, nine or ten words a line")
    return labels


def _category(word: str, version: str, path: Path, line: int) -> str:
    name = word.lower().replace("_", "-")
    begun = next((v for v, names in CATEGORIES.items() if name in names), None)
    if begun is None:
        raise SourceError(path, repr(word), "one of DOTA's categories", record=f"line {line}")
    if VERSIONS.index(begun) > VERSIONS.index(version):
        raise SourceError(
            path, f"{name!r}, which began with version {begun}", f"labels of version {version}", record=f"line {line}",
            do="set `annotation_version` and name the folder by its version",
        )  # fmt: skip
    return name.replace("-", " ")


def _add(labels: _Labels, category: str, words: list[str], size: tuple[int, int] | None) -> None:
    numbers = [_number(word) for word in words[:8]]
    corners = [n for n in numbers if n is not None]
    if len(corners) < 8:
        labels.marks.doubt(category, "object whose corners are no numbers, left out")
        return
    labels.upright += len(set(corners[0::2])) == len(set(corners[1::2])) == 2
    difficult = words[9] if len(words) > 9 else "0"
    if difficult not in ("0", "1", "2"):
        labels.marks.notes.append(Note(reason="object whose flag of difficulty is not 0, 1 or 2: taken as 0"))
    labels.marks.add(category, rotated(corners, *(size or (None, None))), difficult=difficult in ("1", "2"))


def _number(word: str) -> float | None:
    try:
        return float(word)
    except ValueError:
        return None


def _gsd(value: str) -> float | None:
    """Metres per pixel; None where the head says None, null, or nothing that can be."""
    number = _number(value.strip())
    return number if number is not None and 0 < number < float("inf") else None


SOURCE = Source(
    kind="dota",
    title="DOTA",
    tasks=("vqa", "grounding"),
    read=read,
    layout=(
        "{train,val}/images/P<number>.png",
        "{train,val}/labelTxt[-v1.5|-v2.0]/P<number>.txt",
        "or labelTxt/<name>.txt and images/<name>.png",
    ),
    modality="optical",
    license="academic use only",
    redistribute=False,
    homepage="https://captain-whu.github.io/DOTA/",
    citation="""@inproceedings{xia2018dota,
  title     = {{DOTA}: A Large-Scale Dataset for Object Detection in Aerial Images},
  author    = {Xia, Gui-Song and Bai, Xiang and Ding, Jian and Zhu, Zhen and Belongie, Serge and Luo, Jiebo and
               Datcu, Mihai and Pelillo, Marcello and Zhang, Liangpei},
  booktitle = {Proceedings of the IEEE Conference on Computer Vision and Pattern Recognition},
  pages     = {3974--3983},
  year      = {2018}
}""",
    splits={"train": (1411, 98990), "validation": (458, 28853)},
    options=(BOXES, *TILING, ANNOTATION_VERSION, SPLIT),
    detects=True,
    tile=1024,
)
