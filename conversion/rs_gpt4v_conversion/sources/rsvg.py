"""RSVG (GeoVG): 7,933 expressions, each for one box, in 4,239 images from Google Earth and OpenStreetMap.

    RSVG/rsvg_{train,val,test}.pth              or .json, the same list written as JSON
    RSVG/images/<name>.jpg                      1024x1024 JPEG

    [("900_901_1024_32615_sport_baseball.jpg", [10, 20, 41, 60],
      "find a ground track field that is about 40 meters north of the lake", ...), ...]

Official counts: 5,505 / 1,201 / 1,227 expressions.

None of the authors' files has been at hand here; what is said of them is what public code reads from them.

    Agreed by several loaders of others: the names of the files; that a file is one list of tuples, each beginning with
    the image's name, the box x1 y1 x2 y2 in pixels and the expression; that the images are in `images`; that
    `torch.load(..., weights_only=True)` opens them, so that they hold plain values only.
    Not agreed: what follows the expression (one value, or two that are called tags and a count). It is not read.
    Not verified: the images' size, which comes from their headers where they are there; 1024 stands in where they are
    not, which is the size of RSVG-HR's images, and those are of this set. Whether official splits share images. JSON
    is what earlier descriptions name; it is read because it is the plain form of the same list.

A .pth file is a pickle: it is read without torch, by a reader that makes lists, text and numbers only and runs nothing.

Expressions are kept as they are, `find` and `search` at their heads included: they are asked for as grounding alone,
since such a command describes no region. The set has no categories: an object's is `object`. The different boxes of an
image are its objects. Swapped corners are put in order and boxes cut off at the image's edge, each with a note; a
record of another form, without an expression, or with a box without area is a rejected pair, and a file without any
record of this form is refused.

No licence is stated; images from Google Earth, which may not be passed on. RSVG-HR has its images from here, in other
splits.
"""

import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from rs_gpt4v_conversion.errors import SourceError
from rs_gpt4v_conversion.records import Annotation, Flaw, Note
from rs_gpt4v_conversion.sources._folder import Folder
from rs_gpt4v_conversion.sources._json import floats, load_json
from rs_gpt4v_conversion.sources._pth import load_pth
from rs_gpt4v_conversion.sources._rsvg import CITATION, Expression, annotations
from rs_gpt4v_conversion.sources._source import Options, Source

SPLITS = {"train": "train", "val": "validation", "test": "test"}

FORM = "a list of image name, box of four numbers and expression"

BAD_RECORD = f"record that is not {FORM}"


def read(folder: Folder, options: Options) -> Iterator[Annotation | Flaw | Note]:
    """Read every split that is in the folder; see `annotations`.

    Raises:
        SourceError: No split is there, or a file is not of this form.
    """
    images = folder.images("images")
    found = False
    for theirs, split in SPLITS.items():
        paths = [folder.root / f"rsvg_{theirs}.{ending}" for ending in ("pth", "json")]
        path = next((p for p in paths if p.exists()), None)
        if path is None:
            yield Note(reason=f"no file of the official split {theirs!r} in the folder")
            continue
        found = True
        yield from annotations(folder, split, _expressions(folder, path), images, "RSVG/images")
    if not found:
        raise SourceError(folder.root, "none of them", "rsvg_{train,val,test}.pth, or .json", do="check `root`")


def _expressions(folder: Folder, path: Path) -> list[Expression]:
    value = load_pth(folder, path) if path.suffix == ".pth" else load_json(folder, path)
    if not isinstance(value, list):
        raise SourceError(path, f"a {type(value).__name__}", f"a list, of each expression {FORM}")
    expressions = [_expression(record, f"{path.stem}[{i}]") for i, record in enumerate(value)]
    if all(e.flaw for e in expressions):
        found = f"none in {len(value):,} records" if value else "an empty list"
        raise SourceError(path, found, f"of each expression {FORM}", do="is it another dataset's file?")
    return expressions


def _expression(record: Any, where: str) -> Expression:
    if not isinstance(record, list | tuple) or len(record) < 3:
        return Expression(record=where, name=None, flaw=BAD_RECORD)
    name, box, words = record[:3]
    numbers = floats(box, 4)
    named = isinstance(name, str) and isinstance(words, str)
    if not named or numbers is None or not all(map(math.isfinite, numbers)):
        return Expression(record=where, name=name, flaw=BAD_RECORD)
    return Expression(record=where, name=name, box=tuple(numbers), text=words.strip())


SOURCE = Source(
    kind="rsvg",
    title="RSVG",
    tasks=("grounding",),
    read=read,
    layout=("rsvg_{train,val,test}.pth, or .json", "images/<name>.jpg"),
    modality="optical",
    license="not stated",
    redistribute=False,
    homepage="https://sunyuxi.github.io/publication/GeoVG",
    citation=CITATION,
    splits={"train": (None, 5505), "validation": (None, 1201), "test": (None, 1227)},
    caveat="RSVG and RSVG-HR have images in common, in different splits.",
)
