"""Drafts on disk while they wait to be written: memory holds a line a row, however much text a row has."""

import hashlib
import os
import pickle
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from rs_gpt4v_conversion.images import expected_bytes
from rs_gpt4v_conversion.naming import natural
from rs_gpt4v_conversion.records import Draft


@dataclass(frozen=True, slots=True, kw_only=True)
class Spooled:
    """Where a draft lies, and what the planner needs of it."""

    image_id: str
    row_id: str
    offset: int  # in the spool, bytes
    length: int
    size: int  # about that of the image in its row, bytes
    digest: str  # of the draft and of its files' sizes and times of change
    pairs: int
    origin: str  # of its image, see `ImageRef`
    whole: Path | None  # the image's file, where the row shows all of it as it is


class Spool:
    """A file of drafts. Written once by the build, read by the workers."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.parts: dict[tuple[str, str, str], list[Spooled]] = {}  # by (task, source, split)
        self.newest = 0.0  # when the last of the images' files came to be as it is, seconds since the epoch
        self._file: BinaryIO | None = None

    def __enter__(self) -> "Spool":
        self._file = self.path.open("wb")
        return self

    def __exit__(self, *_: object) -> None:
        if self._file is not None:
            self._file.close()
            self._file = None

    def add(self, draft: Draft, files: Sequence[os.stat_result]) -> None:
        """Append a draft; `files` are the states of its image's files."""
        if self._file is None:
            raise ValueError("the spool is not open for writing")
        # the time of the last change of content or place: a file that was fetched again may have an old time itself
        self.newest = max([self.newest, *(f.st_ctime for f in files)])
        content = pickle.dumps(draft, protocol=5)
        offset = self._file.tell()
        self._file.write(content)
        # repr, not pickle: equal drafts may pickle differently
        state = "\0".join([repr(draft), *(f"{f.st_size}\0{f.st_mtime_ns}" for f in files)])
        self.parts.setdefault((draft.task, draft.source, draft.split), []).append(
            Spooled(
                image_id=draft.image.image_id,
                row_id=draft.id,
                offset=offset,
                length=len(content),
                size=expected_bytes(draft.image, sum(f.st_size for f in files)),
                digest=hashlib.sha256(state.encode("utf-8", "surrogatepass")).hexdigest(),
                pairs=len(draft.pairs),
                origin=draft.image.origin,
                whole=None if draft.image.window or draft.image.stretch else draft.image.path,
            )
        )

    def drop(self, row_ids: Collection[str]) -> None:
        """Leave rows out."""
        for part, rows in self.parts.items():
            self.parts[part] = [r for r in rows if r.row_id not in row_ids]
        self.parts = {part: rows for part, rows in self.parts.items() if rows}

    def ordered(self) -> Iterator[tuple[tuple[str, str, str], list[Spooled]]]:
        """The parts in alphabetical order, each in the natural order of its images' ids.

        The task plays no part in the order of a source's rows: the same images lie alike in all its tasks.
        """
        for part in sorted(self.parts):
            yield part, sorted(self.parts[part], key=lambda s: natural(s.image_id))


def read_drafts(path: Path, places: Iterable[tuple[int, int]]) -> Iterator[Draft]:
    """Read drafts at (offset, length) of a spool, in the order given."""
    with path.open("rb") as file:
        for offset, length in places:
            file.seek(offset)
            draft: Draft = pickle.loads(file.read(length))  # our own file, written a moment ago
            yield draft
