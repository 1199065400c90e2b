"""A release in the form in which the paper released its files: LLaVA's.

    train.json                  one list of {id, image, conversations}: every train row of every task
    test/RSICD.jsonl            a line a question: {question_id, image, text, answer, category}, numbered from 0
    test/...                    RSICD, NWPU-Captions, UCM-Captions, Sydney-Captions, RSVQA_LR, RSVQA_HR,
                                RSVQA_HR_phili, DIOR-RSVG, Detailed_Description, Conversation_Complex_Reasoning, where
                                the release has them; what the paper has no file for is in <source>.jsonl
    validation/RSICD.questions.sidecar.jsonl
                                official validation parts in the same form. The paper released none of these: train on
                                them, or choose by them
    *.sidecar.jsonl             what else the release knows (see sidecar.py)
    <image_path>                the images, where the paper's files look for them

A training record is one dialogue. LLaVA trains the turns of a record as one conversation, in which every answer sees
those before it: five captions of an image in one record would teach a model to go on captioning, and a hundred
questions to leave the image after the first. So pairs that do not depend on each other are records of their own.

In a test file every question stands alone, also one that is a later turn of a conversation: so the paper released and
scored them. The sidecar has dialogue and turn of each, for those who score in context. The captions of a test image are
one question with a list of references, in the source's order, none twice.

An image that several rows share is written once, as `_images.py` says in which format. Its path comes from the release
and never leads out of the folder.
"""

import contextlib
import hashlib
import json
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TextIO

from rs_gpt4v_conversion.errors import UsageError
from rs_gpt4v_conversion.export._files import Origin, Target, targets
from rs_gpt4v_conversion.export._images import ImageFiles, image_path
from rs_gpt4v_conversion.export._records import COLUMNS, Item, dump, row_facts, test_lines, train_records
from rs_gpt4v_conversion.files import TEMPORARY, completed, disk_trouble, sync_folder, write_bytes
from rs_gpt4v_conversion.gates.conversations import pairs_flaw, turns_flaw
from rs_gpt4v_conversion.manifest import NAME
from rs_gpt4v_conversion.progress import Progress
from rs_gpt4v_conversion.release import UNREADABLE, ReleaseFolder
from rs_gpt4v_conversion.sidecar import lines_file, rows_file

STATE = ".export.json"
"""Says of which release an unfinished export is. Gone when it is whole."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Exported:
    """What an export wrote."""

    files: dict[str, int]  # records or lines by path, without the sidecars
    images: int
    missing_images: int  # paths of which the release holds no bytes
    misnamed_images: int  # PNGs whose path says JPEG


def export_llava(release: Path, out: Path, *, images: bool = True) -> Exported:
    """Write the release in `release` into `out`.

    Args:
        release: A release folder.
        out: A new or empty folder, or one with an unfinished export of this release, which is then finished.
        images: Write the images too.

    Raises:
        UsageError: A mistake of the user's, or a release that is not what it should be; see the message.
    """
    import rs_gpt4v  # `datasets` with it: only what reads rows needs it

    folder = ReleaseFolder(release)
    files = ImageFiles(out)
    counts: dict[str, int] = {}
    with _opened(out, folder):
        todo = targets(folder.shards, _origins(folder))
        progress = Progress("exporting", sum(t.rows for t in todo), "rows")
        for target in todo:
            with _writing(out / target.path, as_list=target.train) as file:
                for row in _rows(folder, target, rs_gpt4v.CATEGORIES, images=images):
                    file.add(row, train=target.train)
                    if images:
                        files.add(row["id"], row["image_path"], (row["image"] or {}).get("bytes"))
                    progress.advance()
            counts[target.path] = file.count
        progress.close()
        os.sync()  # all images at once: until then the folder says that it is unfinished
    return Exported(
        files=counts, images=files.written, missing_images=files.missing, misnamed_images=files.misnamed,
    )  # fmt: skip


@contextlib.contextmanager
def _opened(out: Path, release: ReleaseFolder) -> Iterator[None]:
    """Make the folder ready; the block fills it.

    Raises:
        UsageError: The folder is something else, or cannot be written.
    """
    state = json.dumps({"release": hashlib.sha256((release.path / NAME).read_bytes()).hexdigest()})
    try:
        _check(out, release.path, state)
        out.mkdir(parents=True, exist_ok=True)
        for path in out.rglob(f"*{TEMPORARY}"):
            path.unlink(missing_ok=True)  # of a run that was killed
        write_bytes(out / STATE, state.encode())
        yield
        (out / STATE).unlink()
        sync_folder(out)
    except NotADirectoryError:
        raise UsageError(f"{out}: lies below a file, expected a place in a folder") from None
    except OSError as error:
        raise disk_trouble(error, out) or error from None


def _check(out: Path, release: Path, state: str) -> None:
    if out.is_symlink() or (out.exists() and not out.is_dir()):
        raise UsageError(f"{out}: is a {'link' if out.is_symlink() else 'file'}, expected an empty folder or a new one")
    if out.exists() and any(out.iterdir()) and not _same(out / STATE, state):
        raise UsageError(f"{out}: holds files, expected a new or empty folder")
    if out.resolve().is_relative_to(release.resolve()):
        raise UsageError(f"{out}: lies in the release, which would not be whole any more; give another folder")


def _same(state: Path, expected: str) -> bool:
    try:
        return state.read_text() == expected
    except (OSError, UnicodeDecodeError):
        return False


def _origins(release: ReleaseFolder) -> dict[str, Origin]:
    """Kind and files of each source by name; a release that does not say so calls its sources by their kinds."""
    sources, inputs = release.manifest.get("sources"), release.manifest.get("inputs")
    if not isinstance(sources, dict):
        return {}
    kinds = {name: facts.get("kind") for name, facts in sources.items() if isinstance(facts, dict)}
    inputs = inputs if isinstance(inputs, dict) else {}
    files = {name: tuple(digests) for name, digests in inputs.items() if isinstance(digests, dict)}
    return {name: Origin(kind=kind, files=files.get(name, ())) for name, kind in kinds.items() if isinstance(kind, str)}


class _File:
    """A file of the export and its two sidecars, being written.

    Attributes:
        count: Records or lines so far.
    """

    def __init__(self, main: TextIO, lines: TextIO, rows: TextIO, *, as_list: bool) -> None:
        self.main, self.lines, self.rows, self.as_list = main, lines, rows, as_list
        self.count = 0

    def add(self, row: dict[str, Any], *, train: bool) -> None:
        """Write all records or lines of a row."""
        self.rows.write(dump(row_facts(row)) + "\n")
        for item in train_records(row) if train else test_lines(row):
            self._write(item if train else _numbered(item, self.count))

    def _write(self, item: Item) -> None:
        if self.as_list:
            self.main.write((", " if self.count else "") + dump(item.content))
        else:
            self.main.write(dump(item.content) + "\n")
        self.lines.write(dump(item.sidecar) + "\n")
        self.count += 1


def _numbered(item: Item, number: int) -> Item:
    return Item(content={"question_id": number, **item.content}, sidecar={"question_id": number, **item.sidecar})


@contextlib.contextmanager
def _writing(path: Path, *, as_list: bool) -> Iterator[_File]:
    """Three files that get their names when the block ends well, the main one last."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with contextlib.ExitStack() as stack:
        main, lines, rows = (
            stack.enter_context(stack.enter_context(completed(p)).open("w", encoding="ascii", newline="\n"))
            for p in (path, lines_file(path), rows_file(path))
        )
        if as_list:
            main.write("[")
        yield _File(main, lines, rows, as_list=as_list)
        if as_list:
            main.write("]")


def _rows(
    release: ReleaseFolder, target: Target, categories: dict[str, tuple[str, ...]], *, images: bool
) -> Iterator[dict[str, Any]]:
    """The rows of a file, each found to be what the contract says.

    Raises:
        UsageError: A shard cannot be read, or a row is not sound.
    """
    columns = [*COLUMNS, *(["image"] if images else [])]
    for shard in target.shards:
        rows = release.rows(shard.path, columns)
        while True:
            try:
                row = next(rows, None)
            except UNREADABLE as error:
                raise UsageError(
                    f"{release.path / shard.path}: cannot be read ({error}); `rs-gpt4v check` says what else is broken"
                ) from None
            if row is None:
                break
            flaw = _flaw(row, columns, categories)
            if flaw:
                raise UsageError(
                    f"{release.path / shard.path}, row {row.get('id')}: {flaw}; `rs-gpt4v check` says what else is "
                    "broken"
                )
            row["image_path"] = image_path(row["image_path"], row["id"])
            yield row


def _flaw(row: dict[str, Any], columns: list[str], categories: dict[str, tuple[str, ...]]) -> str:
    lacking = [name for name in columns if name not in row]
    if lacking:
        return f"has no column {', '.join(lacking)}"
    for name in ("conversations", "pairs", "objects"):
        row[name] = [item or {} for item in row[name] or ()]
    known = categories.get(row["task"], ())
    flaw = turns_flaw(row["conversations"], len(row["pairs"])) or pairs_flaw(row["pairs"], known, len(row["objects"]))
    for pair in row["pairs"]:
        pair["objects"] = pair.get("objects") or []
    return flaw or ("" if row["id"] else "has no id")
