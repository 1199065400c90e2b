"""NWPU-Captions: captions of 31,500 images in 45 scene classes, those of NWPU-RESISC45.

    NWPU-Captions/dataset_nwpu.json
    NWPU-Captions/NWPU_images/<class>/<class>_<number>.jpg      256x256 JPEG

    {"airplane": [{"filename": "airplane_900.jpg", "imgid": 0, "split": "train", "raw": "A plane on grass .",
      "raw_1": "One plane .", "raw_2": ..., "raw_3": ..., "raw_4": ..., "sentids": 0, "sentids_1": 1, ...}], ...}

Official counts: 25,200 / 3,150 / 3,150 images in train, val, test, five captions each; in the paper's test file the
numbers 631 to 700 of each class. 125,894 captions of train differ within their image, which is the paper's figure.

The top level is keyed by class, and a file name has no folder: the class is the folder. Copies of RESISC45 spell the
folders with `_`, with a blank or with `-` ("baseball_diamond", "baseball diamond"): the one that is there is taken.
The extension of a file may be in another case.
airplane_111.jpg is listed and not in the archive: a missing image, which `build --missing-images skip` passes over.
A caption that is no text is a flaw; ` .` is rejected as blank. A name that is listed again, in any class or split, is
rejected ("image listed twice"): what was listed first stays. Odd Unicode is kept as the file has it, because the
paper's figure counts captions that differ as they are written; only blanks at the ends go.

No licence is stated; the images are from Google Earth and may not be passed on.
"""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from rs_gpt4v_conversion.errors import SourceError
from rs_gpt4v_conversion.records import Annotation, Caption, Flaw, ImageRef
from rs_gpt4v_conversion.sources._folder import Folder
from rs_gpt4v_conversion.sources._images import Images, listing
from rs_gpt4v_conversion.sources._json import describe, load_object, records, typed
from rs_gpt4v_conversion.sources._karpathy import SPLITS
from rs_gpt4v_conversion.sources._names import image_name_flaw, plain
from rs_gpt4v_conversion.sources._source import ANNOTATIONS, Options, PaperFigure, Source, option_path

CAPTIONS = ("raw", "raw_1", "raw_2", "raw_3", "raw_4")
"""Keys of an image's captions: all five are expected."""

_CAPTION = re.compile(r"raw(_\d+)?")


def read(folder: Folder, options: Options) -> Iterator[Annotation | Flaw]:
    """Read the caption file.

    Yields:
        One annotation an image; a caption that is no text, and each caption of an image whose name is no file name or
        was listed before, is a flaw.

    Raises:
        SourceError: The file is not one of this form, or is another dataset's.
    """
    path = option_path(options, "annotations", folder.root / "dataset_nwpu.json")
    content = load_object(folder, path)
    if not content:
        raise SourceError(path, "no class", "lists of images by scene class", do="is it another dataset's file?")
    images = folder.images("NWPU_images", "NWPU-RESISC45", "images")
    folders = _Folders(images)
    seen: set[str] = set()
    for scene_class in content:
        for i, record in enumerate(records(content, scene_class, path)):
            where = f"{scene_class}[{i}]"
            split = _split(record, path, where)
            captions = list(_captions(record, where))
            name = record["filename"]
            flaw = image_name_flaw(scene_class) or image_name_flaw(name)
            if not flaw and name in seen:
                flaw = "image listed twice"
            yield from _flaws(captions, split, where if flaw else Path(name).stem, flaw, describe(name))
            facts = tuple(Caption(text=text.strip()) for _, text in captions if isinstance(text, str))
            if flaw or not facts:
                continue
            seen.add(name)
            yield Annotation(
                task="captioning", split=split, facts=facts,
                image=_image(name, scene_class, folders.images(scene_class)),
            )  # fmt: skip


def _split(record: dict[str, Any], path: Path, where: str) -> str:
    """The record's split, once it is sure that the record is one of this set."""
    if not any(_CAPTION.fullmatch(key) for key in record):
        keys = ", ".join(sorted(record)[:6]) or "none"
        raise SourceError(
            path, f"the keys {keys}", "captions raw to raw_4", record=where, do="is it another dataset's file?"
        )
    if "filename" not in record:
        raise SourceError(path, "nothing", "a string", record=f"{where}.filename")
    split: str = typed(record, "split", str, path, where)
    if split not in SPLITS:
        raise SourceError(path, repr(split), "one of " + ", ".join(SPLITS), record=f"{where}.split")
    return SPLITS[split]


def _captions(record: dict[str, Any], where: str) -> Iterator[tuple[str, Any]]:
    """Place and text of each caption; None for one of the five that is not there."""
    for key in dict.fromkeys([*CAPTIONS, *(k for k in record if _CAPTION.fullmatch(k))]):
        yield f"{where}.{key}", record.get(key)


def _flaws(captions: list[tuple[str, Any]], split: str, image_id: str, flaw: str, detail: str) -> Iterator[Flaw]:
    for where, text in captions:
        if flaw or not isinstance(text, str):
            yield Flaw(
                task="captioning", split=split, image_id=image_id, record=where,
                reason=flaw or "caption is no text", detail=detail if flaw else describe(text),
            )  # fmt: skip


def _image(name: str, scene_class: str, images: Images) -> ImageRef:
    stem = Path(name).stem
    return ImageRef(
        image_id=stem, source_id=name, path=images.path(name), origin=f"nwpu/{stem}",
        image_path=f"NWPU-RESISC45/{re.sub('[ -]', '_', scene_class)}/{name}",
    )  # fmt: skip


class _Folders:
    """The folders of the classes, whatever separates their words."""

    def __init__(self, images: Path) -> None:
        self._home = images
        self._images: dict[str, Images] = {}
        self._names = listing(images)
        self._plain = {plain(name): name for name in self._names}

    def images(self, scene_class: str) -> Images:
        """The images of a class."""
        if scene_class not in self._images:
            self._images[scene_class] = Images(self._home / self._name(scene_class))
        return self._images[scene_class]

    def _name(self, scene_class: str) -> str:
        """The folder of a class as it is spelt on the disk, or as the class is where there is none."""
        return scene_class if scene_class in self._names else self._plain.get(plain(scene_class), scene_class)


SOURCE = Source(
    kind="nwpu_captions",
    title="NWPU-Captions",
    tasks=("captioning",),
    read=read,
    layout=("dataset_nwpu.json", "NWPU_images/<class>/<class>_<number>.jpg"),
    modality="optical",
    license="not stated",
    redistribute=False,
    homepage="https://github.com/HaiyanHuang98/NWPU-Captions",
    citation="""@article{cheng2022nwpucaptions,
  title   = {{NWPU-Captions} Dataset and {MLCA-Net} for Remote Sensing Image Captioning},
  author  = {Cheng, Qimin and Huang, Haiyan and Xu, Yuan and Zhou, Yuzhuo and Li, Huanying and Wang, Zhongyuan},
  journal = {IEEE Transactions on Geoscience and Remote Sensing},
  volume  = {60},
  pages   = {1--19},
  year    = {2022}
}""",
    splits={"train": (25200, 126000), "validation": (3150, 15750), "test": (3150, 15750)},
    paper={
        ("captioning", "train"): PaperFigure(images=25200, qa_pairs=125894),
        ("captioning", "test"): PaperFigure(
            images=3150, qa_pairs=1093,
            note="1,093 repeats RSICD's figure in the paper's table; the paper's own test file has 3,150 lines",
        ),
    },
    options=(ANNOTATIONS,),
)  # fmt: skip
