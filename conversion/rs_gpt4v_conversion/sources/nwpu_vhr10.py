"""NWPU VHR-10: upright boxes of ten categories in 650 aerial images, and 150 images with none of them.

    NWPU VHR-10 dataset/positive image set/{001..650}.jpg
    NWPU VHR-10 dataset/negative image set/{001..150}.jpg      the same names, other pictures
    NWPU VHR-10 dataset/ground truth/{001..650}.txt            a box a line: two corners and the number of its category

    (563,478),(630,573),1
    ( 90, 105),(161, 168) , 10

Lines may be blank, and blanks may be anywhere in them. The categories are numbered from 1 as in `CATEGORIES`. A line
that cannot be read is noted, and then no category of its image is counted or said to be absent. The size of an image is
that of its file's header, not known where the file is not there.

There is also a conversion to COCO's form, `annotations.json`, with the positive images alone (650 images, 3,921 boxes;
names of categories with underscores, ids of images from 0): it is read where there is no `ground truth`, or where
`annotations` names it. Both forms may lie in the root or in the folder `NWPU VHR-10 dataset` below it.

Ids begin with `positive_` or `negative_`, as names alone are not unique. A negative image is a scene without objects,
one for each file in its folder; all ten categories were looked for in it. Official counts: 650 + 150 images and 3,775
objects, while 3,896 boxes are reported for the text files. There is no official split: everything is train.

715 images are in colour from Google Earth, 85 in infrared, red and green from Vaihingen. For research only: the images
may not be passed on.
"""

from collections.abc import Iterator
from pathlib import Path

from rs_gpt4v_conversion.errors import SourceError
from rs_gpt4v_conversion.records import Flaw, ImageRef, Note, Scene
from rs_gpt4v_conversion.sources._boxes import upright
from rs_gpt4v_conversion.sources._coco import CocoForm, read_coco
from rs_gpt4v_conversion.sources._folder import Folder, files_by_stem
from rs_gpt4v_conversion.sources._lines import load_lines
from rs_gpt4v_conversion.sources._names import image_name_flaw
from rs_gpt4v_conversion.sources._scene import Marks
from rs_gpt4v_conversion.sources._source import ANNOTATIONS, Options, Source, option_path

CATEGORIES = (
    "airplane", "ship", "storage tank", "baseball diamond", "tennis court", "basketball court", "ground track field",
    "harbor", "bridge", "vehicle",
)  # fmt: skip
"""By their number in the text files, from 1."""

NAME = "NWPU VHR-10 dataset"

POSITIVE, NEGATIVE = "positive image set", "negative image set"


def read(folder: Folder, options: Options) -> Iterator[Scene | Flaw | Note]:
    """Read the text files, or the JSON file, and the list of negative images.

    Yields:
        A scene an image; notes for what was left out; a flaw for each category of an image that cannot be used.

    Raises:
        SourceError: Neither form is there, or a file is not of its form.
    """
    places = [folder.root / NAME, folder.root]
    texts = next((p for p in places if files_by_stem(p / "ground truth", ".txt")), None)
    found = next((p for p in places if (p / "annotations.json").exists()), None)
    if "annotations" in options or (texts is None and found is not None):
        path = option_path(options, "annotations", (found or folder.root) / "annotations.json")
        yield from read_coco(folder, path, _coco_form(folder), {})
    elif texts is not None:
        yield from _read_texts(folder, texts)
    else:
        raise SourceError(folder.root, "neither", f"{NAME}/ground truth/<name>.txt, or annotations.json")
    yield from _read_negative(folder)


def _coco_form(folder: Folder) -> CocoForm:
    return CocoForm(
        collection="nwpu_vhr10", split="train",
        images=folder.images(f"{NAME}/{POSITIVE}", POSITIVE, "images"), image_path=f"{NAME}/{POSITIVE}",
        words={c: c for c in CATEGORIES}, prefix="positive_",
    )  # fmt: skip


def _read_texts(folder: Folder, root: Path) -> Iterator[Scene | Flaw | Note]:
    files = files_by_stem(root / "ground truth", ".txt")
    for stem, path in files.items():
        ref = _ref(folder, root / POSITIVE / f"{stem}.jpg", "positive")
        marks = _marks(folder, path, ref)
        yield from _scene(ref, marks)
    alone = files_by_stem(root / POSITIVE, ".jpg").keys() - files.keys()
    if alone:
        yield Note(reason="image without a file of its boxes", count=len(alone))


def _read_negative(folder: Folder) -> Iterator[Scene | Flaw | Note]:
    images = folder.images(f"{NAME}/{NEGATIVE}", NEGATIVE)
    paths = files_by_stem(images, ".jpg").values()
    if not paths:
        yield Note(reason=f"no images in the folder {NEGATIVE!r}")
    for path in paths:
        yield from _scene(_ref(folder, path, "negative"), Marks())


def _ref(folder: Folder, path: Path, kind: str) -> ImageRef:
    width, height = folder.size(path) or (None, None)
    image_id = f"{kind}_{path.stem}"
    return ImageRef(
        image_id=image_id, source_id=f"{path.parent.name}/{path.name}", path=path,
        image_path=f"{NAME}/{path.parent.name}/{path.name}", width=width, height=height,
        origin=f"nwpu_vhr10/{image_id}",
    )  # fmt: skip


def _scene(ref: ImageRef, marks: Marks) -> Iterator[Scene | Flaw | Note]:
    flaw = image_name_flaw(ref.path.name)
    if flaw:
        yield from marks.flaws("train", ascii(ref.image_id)[1:-1], flaw, ascii(ref.path.name))
    else:
        yield from marks.notes
        yield marks.scene("train", ref, CATEGORIES, "hbb")


def _marks(folder: Folder, path: Path, ref: ImageRef) -> Marks:
    """The boxes of one text file."""
    expected = "a line such as (10,20),(30,40),1 for each box"
    marks = Marks()
    boxes = 0
    for i, line in load_lines(folder, path, expected):
        numbers = _numbers(line)
        if numbers is None:
            marks.lose(CATEGORIES, "line that is no box, left out")
            continue
        boxes += 1
        *corners, category = numbers
        if category not in range(1, len(CATEGORIES) + 1):
            raise SourceError(path, f"category {category:g}", f"1 to {len(CATEGORIES)}", record=f"line {i}")
        marks.add(CATEGORIES[int(category) - 1], upright(corners, ref.width, ref.height))
    if not boxes:
        raise SourceError(path, "no box", expected, do="fetch it again: every positive image has one")
    return marks


def _numbers(line: str) -> list[float] | None:
    """The five numbers of a line without its brackets and blanks, or None."""
    plain = "".join(c for c in line if c not in "()" and not c.isspace())
    try:
        numbers = [float(part) for part in plain.split(",")]
    except ValueError:
        return None
    return numbers if len(numbers) == 5 else None


SOURCE = Source(
    kind="nwpu_vhr10",
    title="NWPU VHR-10",
    tasks=("vqa", "grounding"),
    read=read,
    layout=(
        "NWPU VHR-10 dataset/ground truth/<name>.txt",
        "NWPU VHR-10 dataset/{positive,negative} image set/<name>.jpg",
        "or annotations.json beside the positive images",
    ),
    modality="optical",
    license="research use only",
    redistribute=False,
    homepage="https://gcheng-nwpu.github.io/",
    citation="""@article{cheng2014vhr10,
  title   = {Multi-class geospatial object detection and geographic image classification based on collection of part
             detectors},
  author  = {Cheng, Gong and Han, Junwei and Zhou, Peicheng and Guo, Lei},
  journal = {ISPRS Journal of Photogrammetry and Remote Sensing},
  volume  = {98},
  pages   = {119--132},
  year    = {2014}
}""",
    splits={"train": (800, 3775)},
    options=(ANNOTATIONS,),
    detects=True,
)
