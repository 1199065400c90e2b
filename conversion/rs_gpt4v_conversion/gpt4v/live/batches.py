"""`submit`, `poll` and `fetch`: request files go to the vendor whole, and their answers come as files within a day.

Each step is written down before the next begins (state.py), and a batch carries the sha256 of its request file: after
a kill a batch that was made and not written down is found in the vendor's list, and not made, and paid for, again.
"""

import json
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rs_gpt4v_conversion.errors import UsageError
from rs_gpt4v_conversion.files import completed, sha256
from rs_gpt4v_conversion.gpt4v.answers.answer_files import next_answer_file
from rs_gpt4v_conversion.gpt4v.live import policy
from rs_gpt4v_conversion.gpt4v.live.calls import RETRIES, CallError, call
from rs_gpt4v_conversion.gpt4v.live.client import Server, hide_in_file, synchronous
from rs_gpt4v_conversion.gpt4v.live.locking import batching
from rs_gpt4v_conversion.gpt4v.live.plan import Known, Place, places, read
from rs_gpt4v_conversion.gpt4v.live.state import State, load, save
from rs_gpt4v_conversion.gpt4v.workspace import Part, Workspace, read_index

if TYPE_CHECKING:
    import openai
    from openai import BaseModel

TIMEOUT = 600.0
"""Seconds without a byte, of uploads and downloads, too."""

LONGEST = 10
"""Times the interval that a waiting poll pauses at most."""


@dataclass(slots=True, kw_only=True)
class Vendor:
    """The server and what it was asked already."""

    server: Server
    client: "openai.OpenAI"
    say: Callable[[str], None]
    listed: dict[str, dict[str, Any]] | None = None  # batches by the sha256 of their request files
    hidden: int = field(default=0)  # lines that held the key

    def taken(self, model: "BaseModel") -> dict[str, Any]:
        """An object of the API as it is kept: without the key, should the server have written it there."""
        content: dict[str, Any] = json.loads(self.server.hide_bytes(json.dumps(model.to_dict()).encode()))
        return content

    def batches(self, *, anew: bool = False) -> dict[str, dict[str, Any]]:
        """The batches that are at work or brought something, the last of each request file."""
        if self.listed is None or anew:
            client = self.client
            try:
                found = call(
                    self.server, "listing batches", lambda: [self.taken(b) for b in client.batches.list(limit=100)]
                )
            except CallError as error:
                if error.failure.kind not in ("404", "405", "501"):
                    raise
                raise UsageError(
                    f"{self.server.url} has no batches; `rs-gpt4v gpt4v run` asks one request after the other"
                ) from None
            self.listed = {}
            for batch in sorted(found, key=lambda b: int(b.get("created_at") or 0)):
                digest = (batch.get("metadata") or {}).get("sha256")
                if digest and not State(sha256=digest, url="", batch=batch).void:
                    self.listed[digest] = batch
        return self.listed


@contextmanager
def vendor(server: Server, say: Callable[[str], None]) -> Iterator[Vendor]:
    """Open the way to a server for as long as the block takes."""
    with synchronous(server, TIMEOUT) as client:
        yield Vendor(server=server, client=client, say=say)


def on_the_way(parts: Sequence[Part]) -> Iterator[str]:
    """The ids of requests whose answers are on their way in a batch."""
    for part in parts:
        state = load(part)
        if state is not None and state.waiting:
            yield from (request.custom_id for request in read_index(part.index))


def submit(vendor: Vendor, parts: Sequence[Part], known: Known, limit: int | None) -> int:
    """Upload request files that have no batch, and make their batches.

    Args:
        vendor: Who is asked.
        parts: The request files.
        known: What has answers already.
        limit: At most so many batches.

    Returns:
        How many batches were made.

    Raises:
        UsageError: The server refuses, or a file is not what it was.
    """
    made = 0
    for part in parts:
        if limit is not None and made >= limit:
            break
        state = load(part)
        if state is not None:
            _of_this_server(vendor, part, state)
            if state.batch is not None and not state.void:
                continue
        if not _to_be_asked(vendor, part, known):
            continue
        made += _submit(vendor, part, state or State(sha256=sha256(part.path), url=vendor.server.url))
    return made


def _to_be_asked(vendor: Vendor, part: Part, known: Known) -> bool:
    """Whether no request of a file has an answer: a batch asks them all."""
    total = sum(1 for _ in read_index(part.index))
    wanted = sum(1 for _ in places([part], known))
    if 0 < wanted < total:
        vendor.say(
            f"{part.path.name}: not submitted: {total - wanted:,} of its {total:,} requests need no answer any more, "
            "and would be paid for; `run` asks the others, or `export --pending` writes them into a file of their own"
        )
    return wanted == total > 0


def _submit(vendor: Vendor, part: Part, state: State) -> bool:
    """Bring one file to its batch; returns whether one was made, and not found."""
    if state.sha256 != sha256(part.path):
        raise UsageError(f"{part.path}: not the file that was submitted at first; request files must not be changed")
    if state.batch is not None:
        state.earlier, state.batch, state.files = [*state.earlier, state.batch], None, {}
    if found := vendor.batches().get(state.sha256):
        state.batch = found
        save(part, state)
        vendor.say(f"{part.path.name}: is in batch {found['id']} already, {found['status']}")
        return False
    if state.upload is None or not _is_there(vendor, str(state.upload["id"])):
        state.upload = _upload(vendor, part.path)
        save(part, state)
    state.batch, made = _create(vendor, part, state)
    save(part, state)
    vendor.say(f"{part.path.name}: batch {state.batch['id']}, {state.status}")
    return made


def _is_there(vendor: Vendor, name: str) -> bool:
    """Whether an uploaded file still is: vendors remove them after a time."""
    try:
        call(vendor.server, "looking for an uploaded file", lambda: vendor.client.files.retrieve(name))
    except CallError as error:
        if error.failure.kind != "404":
            raise
        return False
    return True


def _upload(vendor: Vendor, path: Path) -> dict[str, Any]:
    def once() -> dict[str, Any]:
        with path.open("rb") as content:  # sent as it is read
            return vendor.taken(vendor.client.files.create(file=(path.name, content), purpose="batch"))

    return call(vendor.server, f"uploading {path.name}", once)


def _create(vendor: Vendor, part: Part, state: State) -> tuple[dict[str, Any], bool]:
    """Make a batch; returns it and whether it was made by this call.

    A failure may hide that it was made, so the list is asked before another attempt.
    """
    endpoint = _endpoint(part)
    upload = str((state.upload or {})["id"])

    def once() -> dict[str, Any]:
        batch = vendor.client.batches.create(
            input_file_id=upload, endpoint=endpoint, completion_window="24h",
            metadata={"file": part.path.name, "sha256": state.sha256},
        )  # fmt: skip
        return vendor.taken(batch)

    attempt = 0
    while True:
        attempt += 1
        try:
            return call(vendor.server, f"making a batch of {part.path.name}", once, retries=0), True
        except CallError as error:
            if error.failure.fatal or not error.failure.again or attempt > RETRIES:
                raise
            time.sleep(policy.pause(attempt, error.failure.wait))
            if found := vendor.batches(anew=True).get(state.sha256):
                return found, True


def _endpoint(part: Part) -> Any:
    """Where the requests of a file go, as its first line says."""
    first = next(read_index(part.index))
    return read(Place(request=first, path=part.path, offset=0))[0]


def poll(vendor: Vendor, parts: Sequence[Part]) -> list[tuple[Part, State]]:
    """Ask how far the batches are; returns all that were submitted.

    Raises:
        UsageError: The server refuses.
    """
    rows = []
    for part in parts:
        state = load(part)
        if state is None:
            continue
        if state.batch is not None and not state.ended:
            _of_this_server(vendor, part, state)
            name = str(state.batch["id"])
            state.batch = _retrieve(vendor, name)
            save(part, state)
        rows.append((part, state))
    return rows


def _retrieve(vendor: Vendor, name: str) -> dict[str, Any]:
    return call(vendor.server, f"asking for batch {name}", lambda: vendor.taken(vendor.client.batches.retrieve(name)))


def watch(
    vendor: Vendor, workspace: Workspace, parts: Sequence[Part], interval: float | None
) -> list[tuple[Part, State]]:
    """Poll until every batch has ended, first often, then less; others may work in the folder between.

    Args:
        vendor: Who is asked.
        workspace: The folder.
        parts: The request files.
        interval: Seconds between the first two looks; None: look once.

    Raises:
        UsageError: The server refuses.
    """
    pause = interval or 0.0
    while True:
        with batching(workspace):
            rows = poll(vendor, parts)
        at_work = sum(state.batch is not None and not state.ended for _, state in rows)
        if not at_work or interval is None:
            return rows
        vendor.say(f"{at_work:,} of {len(rows):,} batches at work; next look in {pause:.0f} s")
        time.sleep(pause)
        pause = min(pause * 1.5, interval * LONGEST)


def fetch(vendor: Vendor, rows: Sequence[tuple[Part, State]], workspace: Workspace) -> list[Path]:
    """Download what ended batches brought; returns the new answer files.

    Raises:
        UsageError: The server refuses, or the disk is full.
    """
    new = []
    for part, state in rows:
        if not state.ended:
            continue
        for kind, name in state.outputs().items():
            file = state.files.get(kind)
            if file is None or file["id"] != name or not file["done"]:
                _of_this_server(vendor, part, state)
                new.append(_fetch(vendor, part, state, kind, name, workspace))
    return new


def _fetch(vendor: Vendor, part: Part, state: State, kind: str, name: str, workspace: Workspace) -> Path:
    file = state.files.get(kind)
    path = workspace.answers / file["name"] if file is not None and file["id"] == name else None
    if path is None or not path.exists():  # one that is there is whole: only the note of it is missing
        path = next_answer_file(workspace, f"{part.path.stem}.{kind}.jsonl")
        state.files[kind] = {"id": name, "name": path.name, "done": False}
        save(part, state)
        _download(vendor, name, path)
    state.files[kind]["done"] = True
    save(part, state)
    return path


def _download(vendor: Vendor, name: str, path: Path) -> None:
    def once(target: Path) -> None:
        with vendor.client.files.with_streaming_response.content(name) as response, target.open("wb") as file:
            for piece in response.iter_bytes(1 << 20):
                file.write(piece)

    with completed(path) as temporary:
        call(vendor.server, f"downloading {name}", lambda: once(temporary))
        vendor.hidden += hide_in_file(vendor.server, temporary)


def _of_this_server(vendor: Vendor, part: Part, state: State) -> None:
    if state.url != vendor.server.url:
        raise UsageError(
            f"{part.batch}: submitted to {state.url}, and now {vendor.server.url} is asked; give --base-url {state.url}"
        )
