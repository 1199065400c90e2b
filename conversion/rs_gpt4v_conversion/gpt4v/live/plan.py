"""Which requests are to be asked, and their bodies, read where they lie when their turn comes."""

import json
import os
import re
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from rs_gpt4v_conversion.errors import UsageError
from rs_gpt4v_conversion.gpt4v.records import Request
from rs_gpt4v_conversion.gpt4v.workspace import Part, read_places

_SPACE = re.compile(r"[ \t\r\n]*")
_DECODER = json.JSONDecoder()


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """A request and where its line lies."""

    request: Request
    path: Path  # of the request file
    offset: int  # of its line, bytes

    @property
    def tokens(self) -> int:
        """Of question and answer, estimated."""
        return self.request.tokens + self.request.answer_tokens


@dataclass(frozen=True, slots=True, kw_only=True)
class Known:
    """What is known of answers, so that none is paid for twice.

    A request is asked as often as it was exported: an answer that was paid for and does not fit is asked again when
    `export --pending` has written its request again.
    """

    paid: Mapping[str, int]  # answers that came, by id
    pending: Collection[str] | None = None  # ids without an accepted answer; None: all
    on_the_way: Collection[str] = frozenset()  # ids whose answers will come by a batch

    def wanted(self, request: Request) -> bool:
        """Whether a request is to be asked."""
        name = request.custom_id
        if self.paid.get(name, 0) >= request.round or name in self.on_the_way:
            return False
        return self.pending is None or name in self.pending


def places(parts: Iterable[Part], known: Known) -> Iterator[Place]:
    """The requests to be asked, in the order of their export, each id once."""
    seen: set[str] = set()
    for part in parts:
        for request, offset in read_places(part):
            if request.custom_id not in seen and known.wanted(request):
                seen.add(request.custom_id)
                yield Place(request=request, path=part.path, offset=offset)


def read(place: Place) -> tuple[str, bytes]:
    """The address within the API and the body of a request, as the request file has it.

    Raises:
        UsageError: The line is not the one that the index describes.
    """
    with place.path.open("rb") as file:
        line = os.pread(file.fileno(), place.request.bytes, place.offset)
    where = f"{place.path}, byte {place.offset}"
    try:
        if not line.endswith(b"\n"):
            raise ValueError("no line ends where the index says")
        fields = written(line.decode())
        name, url = json.loads(fields["custom_id"]), json.loads(fields["url"])
        if name != place.request.custom_id:
            raise ValueError(f"the request of another id, {name!r}")
        return url, fields["body"].encode()
    except KeyError as error:
        reason = f"a line without {error}"
    except ValueError as error:
        reason = str(error)
    raise UsageError(
        f"{where}: found {reason}, expected the request {place.request.custom_id} of {place.path.stem}.index.jsonl; "
        "was the file changed after its export?"
    )


def written(line: str) -> dict[str, str]:
    """The values of a JSON object by name, each as it is written there.

    Raises:
        ValueError: The line is no JSON object.
    """
    values: dict[str, str] = {}
    at = _expect(line, 0, "{")
    while True:
        name, at = _DECODER.raw_decode(line, at)
        begin = _expect(line, at, ":")
        _, end = _DECODER.raw_decode(line, begin)
        values[name] = line[begin:end]
        at = _after_space(line, end)
        if line[at : at + 1] == "}":
            return values
        at = _expect(line, at, ",")


def _expect(line: str, at: int, sign: str) -> int:
    """The place of what follows a sign."""
    at = _after_space(line, at)
    if line[at : at + 1] != sign:
        raise ValueError(f"{line[at : at + 10]!r} where {sign!r} should be")
    return _after_space(line, at + 1)


def _after_space(line: str, at: int) -> int:
    match = _SPACE.match(line, at)
    return match.end() if match else at
