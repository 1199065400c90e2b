"""Answer files come in: copied as they are, then read into the ledger, then told what became of their lines."""

import shutil
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from rs_gpt4v_conversion.config import Config, Generation
from rs_gpt4v_conversion.errors import UsageError
from rs_gpt4v_conversion.files import TEMPORARY, completed, disk_trouble, sha256, write_bytes
from rs_gpt4v_conversion.gpt4v.answers.answer_files import MAP, AnswerFile, answer_files, next_answer_file
from rs_gpt4v_conversion.gpt4v.answers.mapping import Row, map_text, of_file, read_map
from rs_gpt4v_conversion.gpt4v.records import Facts
from rs_gpt4v_conversion.gpt4v.workspace import Workspace

_MOST_NAME = 160
"""Bytes of a name that are kept: with a number and the endings beside it, it must stay below 255."""

_PACKED = (b"\x1f\x8b", b"PK", b"BZ", b"\xfd7", b"\x28\xb5")
"""First bytes of gzip, zip, bzip2, xz and zstandard; no JSON begins with them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Stored:
    """One file of an import."""

    source: Path  # as the user named it
    path: Path  # where its bytes lie now
    new: bool  # False: they were there already


def annotated(config: Config) -> Iterator[Facts]:
    """What the annotations say of all images that a model can be asked about, always in one order."""
    from rs_gpt4v_conversion.gpt4v.asking.subjects import chosen_sources, subjects

    for spec in chosen_sources(config):
        for subject in subjects(spec, Counter()):  # what is left out there, `export` says
            yield subject.facts


def response_files(generation: Generation) -> tuple[list[Path], list[Path]]:
    """The files that `[gpt4v] responses` names, pattern by pattern and each once; and the patterns that name none."""
    found: dict[Path, None] = {}
    empty = []
    for pattern in generation.responses:
        start = Path(pattern.anchor)
        matches = sorted(start.glob(str(pattern.relative_to(start))))
        files = [path for path in matches if path.is_file() and not path.name.endswith(MAP)]
        found.update(dict.fromkeys(files))
        if not files:
            empty.append(pattern)
    return list(found), empty


def expand(generation: Generation, sources: Path) -> list[Path]:
    """The files that `[gpt4v] responses` names.

    Raises:
        UsageError: A pattern names none, or there is no pattern.
    """
    found, empty = response_files(generation)
    if empty:
        raise UsageError(f"{sources}, [gpt4v]: responses names {empty[0]}, and there is no such file")
    if not found:
        raise UsageError(
            f"no answer files: name some after {sources}, or as `responses` of [gpt4v] in it; those that "
            "`rs-gpt4v gpt4v run` and `fetch` write are read without an import"
        )
    return found


def fitting(files: Sequence[Path], map_path: Path | None) -> list[Row]:
    """Look at what is to be imported, before anything is written; the rows of the map.

    Raises:
        UsageError: A file cannot be read, or the map is none or does not fit the files.
    """
    for path in files:
        _check(path)
    rows, names = read_map(map_path) if map_path else [], [path.name for path in files]
    for number, row in enumerate(rows, 1):
        if row.file and row.file not in names:
            raise UsageError(
                f"{map_path}, row {number}, column file: found {row.file!r}, expected one of {', '.join(names)}"
            )
        if row.line is not None and not row.file and len(files) > 1:
            raise UsageError(
                f"{map_path}, row {number}, column file: found nothing, expected one of {', '.join(names)}: it is "
                f"not clear whose line {row.line} is meant"
            )
    return rows


def store(workspace: Workspace, files: Sequence[Path], rows: Sequence[Row] = ()) -> list[Stored]:
    """Copy files to the answers, byte by byte, and what a map says of each beside it.

    A file whose bytes are there already is not copied again, but may get a map. The caller holds the ledger.

    Raises:
        UsageError: A file has another map already, or the folder cannot be written.
    """
    with _disk(workspace.answers):
        workspace.answers.mkdir(parents=True, exist_ok=True)
        return [_store(workspace, path, of_file(rows, path.name)) for path in files]


def _check(path: Path) -> None:
    if path.name.endswith(MAP):
        raise UsageError(f"{path}: found the map of an answer file, expected an answer file; maps are given by --map")
    try:
        with path.open("rb") as file:
            packed = file.read(2) in _PACKED
    except OSError as error:
        raise UsageError(f"{path}: {error.strerror}, expected an answer file") from None
    if packed:
        raise UsageError(f"{path}: found a compressed file, expected an answer file; unpack it first")


def _store(workspace: Workspace, path: Path, rows: list[Row]) -> Stored:
    there = _same(workspace, path)
    target = there.path if there else next_answer_file(workspace, kept_name(path))
    if rows:
        _store_map(
            target.with_name(target.name + MAP), rows, path
        )  # first: a killed import finds it and its file again
    if there:
        return Stored(source=path, path=target, new=False)
    with completed(target) as temporary:
        shutil.copyfile(path, temporary)
    return Stored(source=path, path=target, new=True)


def _same(workspace: Workspace, path: Path) -> AnswerFile | None:
    """The answer file with the same bytes, if there is one."""
    size = path.stat().st_size
    alike = [file for file in answer_files(workspace) if file.path.stat().st_size == size]
    if not alike:
        return None
    digest = sha256(path)
    return next((file for file in alike if sha256(file.path) == digest), None)


def kept_name(path: Path) -> str:
    """A name that says where a file came from, and is taken for nothing else."""
    name = path.name.encode(errors="replace")[-_MOST_NAME:].decode(errors="replace")
    if name.startswith("run-"):
        name = f"imported-{name}"  # else it would be taken for one that is still being written
    return f"{name}.jsonl" if name.endswith(TEMPORARY) else name


def _store_map(target: Path, rows: Iterable[Row], path: Path) -> None:
    content = map_text(rows).encode()
    if target.exists() and target.read_bytes() != content:
        raise UsageError(
            f"{path}: was imported with another map, which lies at {target}; remove that one to let the new one hold"
        )
    write_bytes(target, content)


@contextmanager
def _disk(folder: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise disk_trouble(error, folder) or error from None
