"""Files that `rs-gpt4v export llava` wrote, back to what the release held: by their sidecars (sidecar.py)."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from rs_gpt4v_conversion.errors import SourceError
from rs_gpt4v_conversion.naming import SPLITS
from rs_gpt4v_conversion.records import Annotation, BBox, ImageRef, Note, Obb, Object, Turn
from rs_gpt4v_conversion.sidecar import lines_file, rows_file
from rs_gpt4v_conversion.sources._folder import Folder
from rs_gpt4v_conversion.sources._json import load_list, typed
from rs_gpt4v_conversion.sources._llava import CATEGORIES, Parsed, RecordFlaw, form_of, parse
from rs_gpt4v_conversion.sources._names import image_path_flaw

FITS = "fetch the file and its sidecars again, or move the sidecars away"

LARGEST = 1e9
"""No image has so many pixels on a side."""


@dataclass(slots=True)
class _Row:
    """A row of the release under way."""

    image: str  # as the records name it
    turns: list[tuple[int, Turn]] = field(default_factory=list)  # with their positions


def has_sidecar(path: Path) -> bool:
    """Whether a file has both of its sidecars beside it."""
    return lines_file(path).is_file() and rows_file(path).is_file()


def restore(
    folder: Folder, path: Path, entries: list[dict[str, Any]], images: Path, task: str, split: str
) -> Iterator[Annotation | Note]:
    """Read an exported file.

    Args:
        folder: The source's folder.
        path: The exported file.
        entries: Its records or lines.
        images: The folder that the images' paths begin in.
        task: Take only rows of this task; empty: of all.
        split: Likewise.

    Yields:
        An annotation a row of the release, with its pairs as they were there.

    Raises:
        SourceError: The file and its sidecars do not fit each other.
    """
    lines = load_list(folder, lines_file(path))
    if len(lines) != len(entries):
        raise SourceError(lines_file(path), f"{len(lines):,} lines", f"{len(entries):,}, as in {path.name}", do=FITS)
    rows: dict[str, _Row] = {}
    for i, (entry, line) in enumerate(zip(entries, lines, strict=True)):
        _enter(entry, line, f"record {i + 1}", path, rows)
    facts = {
        typed(f, "id", str, rows_file(path), f"line {i + 1}"): (f"line {i + 1}", f)
        for i, f in enumerate(load_list(folder, rows_file(path)))
    }
    left_out = 0
    for record, row in rows.items():
        if record not in facts:
            raise SourceError(rows_file(path), "nothing", "a line of each row", record=record, do=FITS)
        annotation = _annotation(record, row, *facts[record], rows_file(path), images)
        if task not in ("", annotation.task) or split not in ("", annotation.split):
            left_out += len(row.turns)
        else:
            yield annotation
    if left_out:
        yield Note(reason="pair of another task or split than the stated one, left out", count=left_out)


def _enter(entry: dict[str, Any], line: dict[str, Any], where: str, path: Path, rows: dict[str, _Row]) -> None:
    """Put the pairs of one record or line into their row."""
    sidecar = lines_file(path)
    parsed = _parsed(entry, where, path)
    said = [pair for dialogue in parsed.dialogues for pair in dialogue]
    pairs = typed(line, "pairs", list, sidecar, where)
    if len(pairs) != len(said):
        raise SourceError(path, f"{len(said)} answers", f"{len(pairs)}, as in its sidecar", record=where, do=FITS)
    row = rows.setdefault(typed(line, "row", str, sidecar, where), _Row(image=parsed.image))
    if row.image != parsed.image:
        raise SourceError(path, repr(parsed.image), f"{row.image!r}, as in this row's other records", record=where)
    for i, ((question, answer), pair) in enumerate(zip(said, pairs, strict=True)):
        place = f"{where}.pairs[{i}]"
        if not isinstance(pair, dict):
            raise SourceError(sidecar, "no object", "a pair's facts", record=place, do=FITS)
        text = {key: typed(pair, key, str, sidecar, place) for key in ("category", "template", "generator", "review")}
        items = typed(pair, "objects", list, sidecar, place)
        turn = Turn(
            question=typed(pair, "question", str, sidecar, place) if "question" in pair else question, answer=answer,
            dialogue=typed(pair, "dialogue", int, sidecar, place), items=tuple(items), **text,
        )  # fmt: skip
        row.turns.append((typed(pair, "position", int, sidecar, place), turn))


def _parsed(entry: dict[str, Any], where: str, path: Path) -> Parsed:
    form = form_of(entry)
    if form not in ("conversations", "lines"):
        expected = "image with conversations, or with text and answer"
        raise SourceError(path, f"the keys {', '.join(entry) or 'none'}", expected, record=where)
    try:
        parsed = parse(entry, form)
    except RecordFlaw as flaw:
        raise SourceError(path, flaw.reason, "a record as it was exported", record=where, do=FITS) from None
    found = image_path_flaw(parsed.image)
    if found:
        raise SourceError(path, found, "the path of an image in the folder", record=where)
    return parsed


def _annotation(record: str, row: _Row, where: str, facts: dict[str, Any], path: Path, images: Path) -> Annotation:
    source, _, rest = record.partition("/")
    split, _, rest = rest.partition("/")
    task, _, name = rest.partition("/")
    if task not in CATEGORIES or split not in SPLITS or not name:
        raise SourceError(path, repr(record), "<source>/<split>/<task>/<image>", record=where, do=FITS)
    objects = tuple(
        _object(item, path, f"{where}.objects[{i}]")
        for i, item in enumerate(typed(facts, "objects", list, path, where))
    )
    turns = [turn for _, turn in sorted(row.turns, key=lambda t: t[0])]
    for turn in turns:
        if turn.category not in CATEGORIES[task] or not all(i in range(len(objects)) for i in turn.items):
            expected = f"a category of {task} and objects of the row"
            raise SourceError(path, f"{turn.category!r}, objects {list(turn.items)}", expected, record=where, do=FITS)
    gsd = None if facts.get("gsd") is None else _number(facts, "gsd", path, where)
    return Annotation(
        task=task, split=split, facts=tuple(turns), objects=objects,
        modality=typed(facts, "modality", str, path, where), license=typed(facts, "license", str, path, where),
        image=ImageRef(
            image_id=f"{source}/{name}", source_id=typed(facts, "source_id", str, path, where),
            path=images / row.image, image_path=row.image, gsd=gsd,
            width=typed(facts, "width", int, path, where), height=typed(facts, "height", int, path, where),
        ),
    )  # fmt: skip


def _object(item: Any, path: Path, where: str) -> Object:
    if not isinstance(item, dict):
        raise SourceError(path, "no object", "an object's facts", record=where, do=FITS)
    bbox, obb = _numbers(item, "bbox", 4, path, where), _numbers(item, "obb", 8, path, where)
    upright: BBox | None = (bbox[0], bbox[1], bbox[2], bbox[3]) if bbox else None
    turned: Obb | None = (obb[0], obb[1], obb[2], obb[3], obb[4], obb[5], obb[6], obb[7]) if obb else None
    return Object(
        category=typed(item, "category", str, path, where), bbox=upright, obb=turned,
        difficult=typed(item, "difficult", bool, path, where), ignore=typed(item, "ignore", bool, path, where),
        number=typed(item, "number", int, path, where), iof=_number(item, "iof", path, where),
    )  # fmt: skip


def _numbers(item: dict[str, Any], key: str, count: int, path: Path, where: str) -> list[float]:
    values = typed(item, key, list, path, where)
    if len(values) not in (0, count):
        raise SourceError(path, f"{len(values)} values", f"none or {count} numbers", record=f"{where}.{key}", do=FITS)
    return [_number({key: value}, key, path, where) for value in values]


def _number(item: dict[str, Any], key: str, path: Path, where: str) -> float:
    value = typed(item, key, (int, float), path, where)
    if not abs(value) < LARGEST:
        raise SourceError(path, "a number beyond all measure", "pixels or metres", record=f"{where}.{key}", do=FITS)
    return float(value)
