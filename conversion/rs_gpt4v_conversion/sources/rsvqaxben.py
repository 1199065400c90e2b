"""RSVQAxBEN: questions about the land cover of the 590,326 Sentinel-2 patches of BigEarthNet, 10 m a pixel.

As published:

    RSVQAxBEN/RSVQAxBEN_split_{train,val,test}_{questions,answers,images}.json   the records of RSVQA, see _rsvqa.py
    RSVQAxBEN/Images/<id>.tif

Repackaged with ConfigILM, which needs BigEarthNet (v1.0) itself:

    RSVQAxBEN/RSVQAxBEN_QA_{train,val,test}.json
        {"77": {"type": "LC", "question": "What classes are in the scene?", "answer": "pastures and water bodies",
                "S2_name": "S2A_MSIL2A_20990101T000000_1_2"}}
    RSVQAxBEN/<S2_name>/<S2_name>_{B01,...,B12}.tif    one 16-bit band a file; B02, B03 and B04 are 120x120
                                                       also below BigEarthNet-v1.0/, or wherever `patches` says

Where files of both are in the folder, the published ones are read and the others are a note. The files without a split
in their name (`LRBENquestions.json`) hold all splits in one and are not read.

Official counts: 14,758,150 questions, close to 25 an image; how many in each split is not known to us. The files have
several GB and are read record by record. Held are the pairs of one split.

- Types: `presence`, and `LC`, which is the category `land_cover`: a list of classes with commas and `and`, in any
  order. It is kept as it is: to compare two as sets is a matter of scoring.
- Names such as S2B_MSIL2A_20180525T94031_23_83, with a digit too few in the time, are those of BigEarthNet.
- A patch's picture is made of its bands 4, 3 and 2 (red, green and blue), reflectances of 0 to 0.3 (0 to 3000 in the
  file) evenly spread over 0 to 255. The published `<id>.tif` are 8-bit RGB, so nothing is stretched: every public
  reader opens them with Pillow, which has no 16-bit RGB, and hands them to an RGB model. Should the header of the first
  one say otherwise, an RGB of 16 bits, or 12 or 13 bands in Sentinel-2's order, is stretched like a patch.
- An image that two splits ask about, repeated ids, answers that are numbers, and records without text: as in _rsvqa.py.
  A name that is no file name is a reject.

BigEarthNet's images and labels are CDLA-Permissive-1.0 and contain Copernicus Sentinel data.
"""

import re
from collections.abc import Iterator
from pathlib import Path

from rs_gpt4v_conversion.errors import SourceError
from rs_gpt4v_conversion.records import Annotation, Flaw, ImageRef, Note, Stretch
from rs_gpt4v_conversion.sources._folder import Folder
from rs_gpt4v_conversion.sources._json import describe
from rs_gpt4v_conversion.sources._names import image_name_flaw
from rs_gpt4v_conversion.sources._rsvqa import Layout, Pairs, Taken, read_rsvqa
from rs_gpt4v_conversion.sources._source import Option, Options, Source, option_path
from rs_gpt4v_conversion.sources._stream import iter_members

SPLITS = {"train": "train", "val": "validation", "test": "test"}
TYPES = {"presence": "presence", "LC": "land_cover"}
METRES = 10.0  # of a pixel of the bands that are used

RED_GREEN_BLUE = ("B04", "B03", "B02")
LOW, HIGH = 0, 3000  # surface reflectance x 10,000

PLACES = {3: (0, 1, 2), 12: (3, 2, 1), 13: (3, 2, 1)}
"""Positions of red, green and blue in a file of so many 16-bit bands: an RGB image, or all bands from B01 on."""

PATCH = re.compile(r"S2[A-D]_MSIL2A_\d{8}T\d+_\d+_\d+")


def read(folder: Folder, options: Options) -> Iterator[Annotation | Flaw | Note]:
    """Read the three splits, the last one first."""
    images = folder.images("Images", "images")
    layout = Layout(
        prefix="RSVQAxBEN", splits=SPLITS, types=TYPES, images=images, image_path="RSVQAxBEN/Images", gsd=METRES,
        origin=lambda _, name: _origin(name), stretch=_Header(folder, images).stretch,
    )  # fmt: skip
    repackaged = {theirs: folder.root / f"RSVQAxBEN_QA_{theirs}.json" for theirs in SPLITS}
    there = {theirs: path for theirs, path in repackaged.items() if path.exists()}
    if any(path.exists() for theirs in SPLITS for path in layout.paths(folder.root, theirs)):
        if there:
            yield Note(reason="RSVQAxBEN_QA file, not read because the published files are there", count=len(there))
        yield from read_rsvqa(folder, layout)
        return
    if not there:
        expected = "RSVQAxBEN_split_<split>_questions.json and its answers and images, or RSVQAxBEN_QA_<split>.json"
        raise SourceError(folder.root, "none of them", f"{expected}, for a split of {', '.join(SPLITS)}")
    patches = option_path(options, "patches", folder.images("BigEarthNet-v1.0", "BigEarthNet-S2", "."))
    taken: Taken = {}
    for theirs, split in reversed(SPLITS.items()):
        if theirs in there:
            yield from _read_repackaged(folder, Pairs(split, there[theirs], TYPES, taken), patches)
        else:
            yield Note(reason=f"no file of the official split {theirs!r} in the folder")


def _read_repackaged(folder: Folder, pairs: Pairs, patches: Path) -> Iterator[Annotation | Flaw | Note]:
    for number, record in iter_members(folder, pairs.path):
        where = f"question {number}"
        if not isinstance(record, dict):
            raise SourceError(pairs.path, describe(record), "an object", record=where)
        pairs.asked += 1
        name = record.get("S2_name")
        flaw = image_name_flaw(name)
        if not re.fullmatch("[0-9]{1,18}", number):
            yield pairs.flaw(str(name), where, "question without a whole id", number)
        elif flaw or not isinstance(name, str):
            yield pairs.flaw(where, where, flaw, name)
        elif not pairs.seen.add(int(number)):
            yield pairs.flaw(name, where, "question id listed twice", number)
        else:
            yield from pairs.enter(name, record, where, [record.get("answer")])
    pairs.check()
    yield from pairs.annotations(lambda name: _patch(name, patches))


def _patch(name: str, patches: Path) -> ImageRef:
    files = tuple(patches / name / f"{name}_{band}.tif" for band in RED_GREEN_BLUE)
    return ImageRef(
        image_id=name, source_id=name, path=files[0], image_path=f"RSVQAxBEN/{name}.png", gsd=METRES,
        origin=_origin(name), stretch=Stretch(bands=RED_GREEN_BLUE, low=LOW, high=HIGH, files=files),
    )  # fmt: skip


def _origin(name: str) -> str:
    """Where an image is from, if its name is that of a patch, maybe with a suffix."""
    patch = PATCH.match(name)
    return f"bigearthnet/{patch[0]}" if patch else ""


class _Header:
    """What the first image at hand says of all of them."""

    def __init__(self, folder: Folder, images: Path) -> None:
        self._folder, self._there = folder, images.is_dir()
        self._found: list[Stretch | None] = []  # one, once an image was at hand

    def stretch(self, path: Path) -> Stretch | None:
        """How the bands of an image become red, green and blue, or None where they are that already."""
        if self._there and not self._found:
            samples = self._folder.samples(path)
            if samples is None:
                return None
            count, bits = samples
            places = PLACES.get(count) if bits == 16 else None
            known = Stretch(bands=RED_GREEN_BLUE, low=LOW, high=HIGH, places=places) if places else None
            self._found.append(known)
        return self._found[0] if self._found else None


SOURCE = Source(
    kind="rsvqaxben",
    title="RSVQAxBEN",
    tasks=("vqa",),
    read=read,
    layout=(
        "RSVQAxBEN_split_{train,val,test}_{questions,answers,images}.json",
        "Images/<id>.tif",
        "or RSVQAxBEN_QA_{train,val,test}.json",
        "<S2_name>/<S2_name>_{B02,B03,B04}.tif",
    ),
    modality="optical",
    license="CDLA-Permissive-1.0",
    redistribute=True,
    homepage="https://zenodo.org/records/5084904",
    citation="""@inproceedings{lobry2021rsvqaxben,
  title     = {{RSVQA} Meets {BigEarthNet}: A New, Large-Scale, Visual Question Answering Dataset for Remote Sensing},
  author    = {Lobry, Sylvain and Demir, Beg{\\"u}m and Tuia, Devis},
  booktitle = {IEEE International Geoscience and Remote Sensing Symposium (IGARSS)},
  pages     = {1218--1221},
  year      = {2021}
}""",
    splits={"train": (None, None), "validation": (None, None), "test": (None, None)},
    options=(
        Option(
            name="patches", help="the folder of BigEarthNet's patch folders, where they are not in the root", path=True
        ),
    ),
)
