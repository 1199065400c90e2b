"""The folder of a GPT-4V stage, as `[gpt4v] requests` names it.

    local-00001.jsonl          requests in the OpenAI batch form, as they are sent
    local-00001.index.jsonl    a line each: `Request`
    local-00001.batch.json     how far its submission is, with the batch object as the vendor returned it last
    answers/000001-run-local.jsonl  answers as a live run got them, a line each
    answers/000001-<name>      answer files, verbatim and in the order of their import
    answers/000001-<name>.map.csv   what an import said about foreign lines
    ledger.sqlite              what became of every line: made from the files above, and made again where it is missing
    ledger.lock                held by the process that adds to the ledger
    .export.lock, .asking.lock, .batches.lock  held by an export, by what sends questions, by what notes batches

Requests and answers are plain files that are only ever added to; the ledger holds nothing that is not in them.
"""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass, fields
from pathlib import Path

from rs_gpt4v_conversion.errors import UsageError
from rs_gpt4v_conversion.gpt4v.records import STAGES, Request, Stage

_PART = re.compile(rf"({'|'.join(STAGES)})-(\d{{5,}})\.jsonl")


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """One request file."""

    path: Path
    stage: Stage
    number: int  # among the files of its stage, from 1

    @property
    def index(self) -> Path:
        """The lines that describe its requests."""
        return self.path.with_suffix(".index.jsonl")

    @property
    def batch(self) -> Path:
        """The vendor's batch object."""
        return self.path.with_suffix(".batch.json")


@dataclass(frozen=True, slots=True)
class Workspace:
    """The folder of requests and answers; it need not be there yet."""

    folder: Path

    @property
    def answers(self) -> Path:
        """The folder of verbatim answer files."""
        return self.folder / "answers"

    @property
    def ledger(self) -> Path:
        """The file of the ledger."""
        return self.folder / "ledger.sqlite"

    def part(self, stage: Stage, number: int) -> Part:
        """A request file by its place, whether it is there or not."""
        return Part(path=self.folder / f"{stage}-{number:05d}.jsonl", stage=stage, number=number)

    def parts(self) -> list[Part]:
        """The request files that are there, by stage and number. One without its index is unfinished, and none."""
        found = []
        for path in self.folder.glob("*.jsonl") if self.folder.is_dir() else ():
            match = _PART.fullmatch(path.name)
            if match is None:
                continue
            stage: Stage = match[1]  # type: ignore[assignment]  # the pattern is made of the stages
            part = Part(path=path, stage=stage, number=int(match[2]))
            if part.index.exists():
                found.append(part)
        return sorted(found, key=lambda p: (STAGES.index(p.stage), p.number))


_FIELDS = tuple(field.name for field in fields(Request))


def index_line(request: Request) -> str:
    """A request as a line of an index, with its line end."""
    return json.dumps({name: getattr(request, name) for name in _FIELDS}, ensure_ascii=False) + "\n"


def read_index(path: Path) -> Iterator[Request]:
    """Read an index.

    Raises:
        UsageError: A line is not what `index_line` writes.
    """
    with path.open(encoding="utf-8") as file:
        for number, line in enumerate(file, 1):
            try:
                yield Request(**json.loads(line))
            except (ValueError, TypeError) as error:
                raise UsageError(
                    f"{path}, line {number}: not a line of an index of requests: {error}; `rs-gpt4v gpt4v export` "
                    "writes them, and nothing else should"
                ) from None


def read_places(part: Part) -> Iterator[tuple[Request, int]]:
    """The requests of a part in their order, each with where its line lies in the request file, bytes.

    Raises:
        UsageError: See `read_index`.
    """
    offset = 0
    for request in read_index(part.index):
        yield request, offset
        offset += request.bytes
