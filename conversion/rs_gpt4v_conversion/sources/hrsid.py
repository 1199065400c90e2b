"""HRSID: upright boxes of ships in 5,604 radar images, cut from 136 scenes of Sentinel-1B, TerraSAR-X and TanDEM-X.

    HRSID_JPG/annotations/{train2017,test2017}.json
    HRSID_JPG/JPEGImages/P<scene>_<top>_<bottom>_<left>_<right>.jpg    800x800 JPEG, three equal bands

    {"images": [{"id": 20180000007, "file_name": "P9001_0_800_0_800.jpg", "width": 800, "height": 800}],
     "annotations": [{"id": 1, "image_id": 20180000007, "category_id": 0, "bbox": [30, 41, 25, 12], "area": 300,
                      "segmentation": [[30, 41, 55, 41, 55, 53, 30, 53]], "iscrowd": 0, "ignore": 0}],
     "type": "instances", "categories": [{"id": 0, "name": "ship", "supercategory": "none"}]}

Official counts: 3,642 / 1,962 images; 16,951 ships in `train_test2017.json`, while the two files of the splits are
reported to hold 11,047 and 5,922, eighteen more. The reader takes the two files, in the root or in `HRSID_JPG` (or
`HRSID_PNG`, the lossless edition) below it. Another file, such as those of inshore and offshore images or a corrected
edition, is named by `annotations`; then `split` says of which split it is, or else the one word of train and test that
is in its name.

The official split is by image, not by scene: crops of one scene (`P0001_...`) are in both splits, and neighbouring
crops overlap, so train and test show some of the same water. A few pictures of different scenes are reported to be
equal byte by byte, perhaps across the splits: that is a warning when a release is checked. An image that is listed
again, in the other split or the same, is rejected. 109 pictures (`P0137_<number>.jpg`) do not say where they were cut.

Ids of images need 64 bits, the only category may be number 0, boxes are integers or floats, and the corrected edition
has a box of four zeros: it is left out with a note. An object with `ignore` is never asked about. Polygons are
outlines, or the upright box again, so no rotated box is made of them.

The repository is under GPL-3.0; the terms of the images are not stated, so they may not be passed on.
"""

from collections.abc import Iterator
from pathlib import Path

from rs_gpt4v_conversion.errors import SourceError
from rs_gpt4v_conversion.records import Flaw, Note, Scene
from rs_gpt4v_conversion.sources._coco import CocoForm, read_coco
from rs_gpt4v_conversion.sources._folder import Folder
from rs_gpt4v_conversion.sources._source import ANNOTATIONS, Option, Options, Source, option_path

SPLITS = {"train2017": "train", "test2017": "test"}

EDITIONS = ("", "HRSID_JPG/", "HRSID_PNG/")

SPLIT = Option(name="split", help="of which split the file named by `annotations` is", choices=("train", "test"))


def read(folder: Folder, options: Options) -> Iterator[Scene | Flaw | Note]:
    """Read both official files, or the one that `annotations` names.

    Yields:
        A scene an image; notes for what was left out; a flaw for each category of an image that cannot be used.

    Raises:
        SourceError: No file is there, or one is not of this form; or the split of a file is not known.
    """
    if "annotations" in options:
        path = option_path(options, "annotations", folder.root)
        yield from read_coco(folder, path, _form(folder, _split(path, options)), {})
        return
    if "split" in options:
        raise SourceError(
            folder.root, "`split` without `annotations`", "both or none",
            do="the official files say of themselves which split they are",
        )  # fmt: skip
    seen: dict[str, str] = {}
    found = False
    for theirs, split in SPLITS.items():
        paths = [folder.root / f"{edition}annotations/{theirs}.json" for edition in EDITIONS]
        held = [p for p in paths if p.exists()]
        if not held:
            yield Note(reason=f"no file of the official split {theirs!r} in the folder")
            continue
        found = True
        yield from read_coco(folder, held[0], _form(folder, split), seen)
    if not found:
        raise SourceError(folder.root, "none of them", "annotations/{train2017,test2017}.json")


def _form(folder: Folder, split: str) -> CocoForm:
    return CocoForm(
        collection="hrsid", split=split, images=folder.images(*(f"{edition}JPEGImages" for edition in EDITIONS)),
        image_path="HRSID/JPEGImages", words={"ship": "ship"},
    )  # fmt: skip


def _split(path: Path, options: Options) -> str:
    named = [split for split in ("train", "test") if split in path.stem]
    split = options.get("split", named[0] if len(named) == 1 else None)
    if split is None:
        raise SourceError(
            path, "a name that does not say of which split it is", "train or test", do="say it with `split`"
        )
    return str(split)


SOURCE = Source(
    kind="hrsid",
    title="HRSID",
    tasks=("vqa", "grounding"),
    read=read,
    layout=(
        "HRSID_JPG/annotations/{train2017,test2017}.json",
        "HRSID_JPG/JPEGImages/P<scene>_<top>_<bottom>_<left>_<right>.jpg",
    ),
    modality="sar",
    license="not stated (repository GPL-3.0)",
    redistribute=False,
    homepage="https://github.com/chaozhong2010/HRSID",
    citation="""@article{wei2020hrsid,
  title   = {{HRSID}: A High-Resolution {SAR} Images Dataset for Ship Detection and Instance Segmentation},
  author  = {Wei, Shunjun and Zeng, Xiangfeng and Qu, Qizhe and Wang, Mou and Su, Hao and Shi, Jun},
  journal = {IEEE Access},
  volume  = {8},
  pages   = {120234--120254},
  year    = {2020}
}""",
    splits={"train": (3642, 11047), "test": (1962, 5922)},
    options=(ANNOTATIONS, SPLIT),
    shares_images=True,
    detects=True,
)
