"""RSVG-HR: 2,650 expressions for boxes in images of RSVG, rewritten with positions in the picture.

    RSVG-HR/rsvg_hr_{train,test}.txt            in the root, in RSVG-HR/ or in the Annotations/ of either
    RSVG-HR/images/<name>.jpg                   1024x1024 JPEG: RSVG's; or beside the lists

    900_900_1024_32615_sport_swimming.jpg,10.5,20.0,40.25,60.0,search a swimming pool on the left

Official counts: 2,151 / 499 expressions of 1,381 / 371 images, one a line without a header: the image's name, x1 y1 x2
y2 in pixels, the expression. 46 images are in train and in test, with different expressions: the card says so, and
`check` warns of it instead of failing.

In the published files one number has a comma for its point (`216,00`), which makes seven fields of six: it is put
right, with a note, wherever only one reading gives four numbers; where several do the line is a rejected pair. An
expression may hold commas: what follows the numbers is the expression. One box has its corners swapped and five reach
more than a pixel beyond 1024: they are put in order, or cut off at the edge, with a note. Lines that are not of this
form are rejected pairs, blank ones are passed over, line ends may be Windows', and a file without any line of this form
is refused. Exact repeats of a line are merged.

Expressions are kept as they are, `find` and `search` at their heads and slips of the pen included: they are asked for
as grounding alone, since such a command describes no region. Some boxes hold several things (`two adjacent tennis
courts`). The set has no categories, and the last words of a name are those by which the image was looked for, not those
of the thing in the box: an object's category is `object`. The size of an image comes from its header; where the image
is not there 1024 stands in, the size that the boxes fill.

The repository is Apache-2.0, which covers the annotations; the images are from Google Earth and may not be passed on.
"""

import itertools
import re
from collections.abc import Iterator
from pathlib import Path

from rs_gpt4v_conversion.errors import SourceError
from rs_gpt4v_conversion.records import Annotation, Flaw, Note
from rs_gpt4v_conversion.sources._folder import Folder
from rs_gpt4v_conversion.sources._lines import load_lines
from rs_gpt4v_conversion.sources._rsvg import Expression, annotations
from rs_gpt4v_conversion.sources._source import Options, Source

SPLITS = ("train", "test")

FOLDERS = (".", "RSVG-HR", "Annotations", "RSVG-HR/Annotations")
"""Where the lists may lie; the last is where the authors' repository has them."""

FORM = "name,x1,y1,x2,y2,expression"

BAD_LINE = f"line that is not {FORM}"
AMBIGUOUS = "line with more than four numbers, of which several may be a decimal comma"

COMMA = Note(reason="number with a decimal comma, read with a point")

_NUMBER = re.compile(r"[+-]?[0-9]{1,9}(\.[0-9]{0,9})?")
_WHOLE = re.compile(r"[+-]?[0-9]{1,9}")
_DIGITS = re.compile(r"[0-9]{1,9}")


def read(folder: Folder, options: Options) -> Iterator[Annotation | Flaw | Note]:
    """Read both splits, where they are in the folder; see `annotations`.

    Raises:
        SourceError: No split is there, or a file is not of this form.
    """
    found = False
    for split in SPLITS:
        paths = [folder.root / place / f"rsvg_hr_{split}.txt" for place in FOLDERS]
        path = next((p for p in paths if p.exists()), None)
        if path is None:
            yield Note(reason=f"no file of the official split {split!r} in the folder")
            continue
        found = True
        expressions, commas = _lines(folder, path)
        if commas:
            yield Note(reason=COMMA.reason, count=commas)
        yield from annotations(folder, split, expressions, _images(folder, path), "RSVG-HR/images")
    if not found:
        raise SourceError(folder.root, "none of them", "rsvg_hr_{train,test}.txt", do="check `root`")


def parse(line: str) -> tuple[str, tuple[float, ...], str, bool] | str:
    """Read one line.

    Returns:
        The image's name, the box, the expression, and whether a decimal comma was put right; or what is wrong.
    """
    name, *fields = line.split(",")
    numbers = list(itertools.takewhile(lambda f: _NUMBER.fullmatch(f.strip()), fields))
    readings = list(_readings([n.strip() for n in numbers]))
    if not name.strip() or not readings or len(fields) == len(numbers):
        return BAD_LINE
    if len(readings) > 1:
        return AMBIGUOUS
    expression = ",".join(fields[len(numbers) :]).strip()
    return name.strip(), tuple(map(float, readings[0])), expression, len(numbers) > 4


def _readings(numbers: list[str]) -> Iterator[list[str]]:
    """All ways to make four numbers of a row of fields by taking commas between two of them for points."""
    if len(numbers) > 8:
        return
    for joints in itertools.combinations(range(1, len(numbers)), len(numbers) - 4) if len(numbers) >= 4 else ():
        apart = all(b - a > 1 for a, b in itertools.pairwise(joints))
        if apart and all(_WHOLE.fullmatch(numbers[j - 1]) and _DIGITS.fullmatch(numbers[j]) for j in joints):
            yield [f"{n}.{numbers[i + 1]}" if i + 1 in joints else n for i, n in enumerate(numbers) if i not in joints]


def _lines(folder: Folder, path: Path) -> tuple[list[Expression], int]:
    """The expressions of a file, and how many decimal commas were put right."""
    expressions, commas = [], 0
    for i, line in load_lines(folder, path, f"lines of {FORM} in UTF-8"):
        read_line = parse(line)
        where = f"{path.stem}:{i}"
        if isinstance(read_line, str):
            name = line.split(",", 1)[0].strip()
            expressions.append(Expression(record=where, name=name, text=line, flaw=read_line))
            continue
        name, box, expression, comma = read_line
        commas += comma
        expressions.append(Expression(record=where, name=name, box=box, text=expression))
    if all(e.flaw for e in expressions):
        found = f"none in {len(expressions):,} lines" if expressions else "an empty file"
        raise SourceError(path, found, f"lines of {FORM}", do="is it another dataset's file?")
    return expressions, commas


def _images(folder: Folder, lists: Path) -> Path:
    """The folder of the images: one of that name, or that of the lists where images lie in it."""
    images = folder.images("images", "RSVG-HR/images")
    beside = not images.is_dir() and any(lists.parent.glob("*.jpg"))
    return lists.parent if beside else images


SOURCE = Source(
    kind="rsvg_hr",
    title="RSVG-HR",
    tasks=("grounding",),
    read=read,
    layout=("rsvg_hr_{train,test}.txt, or in RSVG-HR/ or Annotations/", "images/<name>.jpg"),
    modality="optical",
    license="Apache-2.0",
    redistribute=False,
    homepage="https://github.com/LANMNG/LQVG",
    citation="""@article{lan2024lqvg,
  title   = {Language Query-Based Transformer With Multiscale Cross-Modal Alignment for Visual Grounding on Remote
             Sensing Images},
  author  = {Lan, Meng and Rong, Fu and Jiao, Hongzan and Gao, Zhi and Zhang, Lefei},
  journal = {IEEE Transactions on Geoscience and Remote Sensing},
  volume  = {62},
  pages   = {1--13},
  year    = {2024}
}""",
    splits={"train": (1381, 2151), "test": (371, 499)},
    shares_images=True,
    caveat=(
        "RSVG-HR's official splits share 46 images, with different expressions. Its images are RSVG's, in other splits."
    ),
)
