"""Export: from subjects to request files.

Subjects are looked through twice: first to count them, to choose those that `limit` leaves, and to see for how many the
answers are there that the stage needs; then, one after the other, each becomes a line of a request file. The order is
that of the sources in their file and of the records in their reader, whatever the number of processes.

What an index lists is not exported again, so that an export that was stopped goes on where its last whole file ends,
and the files are those of an undisturbed one. A later round repeats lines of earlier files as they are: see `repeat`.
"""

import fcntl
import heapq
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any, Protocol

from rs_gpt4v_conversion.config import Generation, SourceSpec
from rs_gpt4v_conversion.errors import UsageError
from rs_gpt4v_conversion.files import TEMPORARY, disk_trouble
from rs_gpt4v_conversion.gpt4v.asking.describing import asks_local
from rs_gpt4v_conversion.gpt4v.asking.parts import Limits, PartWriter, Written
from rs_gpt4v_conversion.gpt4v.asking.requests import Rendered, box_form, check_parameters, make_request, sized
from rs_gpt4v_conversion.gpt4v.asking.tokens import ImageRule
from rs_gpt4v_conversion.gpt4v.records import NEEDS, Answers, Facts, Request, Stage, Subject
from rs_gpt4v_conversion.gpt4v.workspace import Part, Workspace, read_index, read_places
from rs_gpt4v_conversion.images import ImageFlaw, load_image
from rs_gpt4v_conversion.images.decoding import read_header
from rs_gpt4v_conversion.images.encoding import reduced_size
from rs_gpt4v_conversion.naming import hash64
from rs_gpt4v_conversion.progress import Progress
from rs_gpt4v_conversion.records import BoxForm
from rs_gpt4v_conversion.workers import in_order

LOCK = ".export.lock"

A_WORKER = 250
"""Images that are worth starting another process for."""

NO_OBJECT = "no object to ask about one by one: none has a box, or all are too small; stage global comes first"
TOO_LARGE = "request is larger than a request file may be"
SAME = "its question is the same as another image's: that is asked once"
ROUNDS_OVER = "was exported as often as `rounds` allows"
MISSING = "image missing"
"""As `load_image` says it."""

WAITING = "no answer to its last export yet"


class Render(Protocol):
    """Words a question: prompts.render."""

    def __call__(
        self, stage: Stage, facts: Facts, *, boxes: BoxForm, width: int, height: int,
        local: dict[str, Any] | None, scene: dict[str, Any] | None,
    ) -> Rendered:  # fmt: skip
        """Width and height are of the image that is sent, pixels; the facts say of which size their boxes are."""
        ...


class Subjects(Protocol):
    """Reads a source: subjects.subjects."""

    def __call__(self, spec: SourceSpec, notes: Counter[str]) -> Iterator[Subject]:
        """Reasons for which images are no subjects are counted in `notes`."""
        ...


class Rounds(Protocol):
    """What the ledger knows of requests: which are to be repeated."""

    def pending(self, stage: Stage | None = None, reason: str | None = None) -> Iterator[str]:
        """Ids of requests without an accepted answer, in the order of their export."""
        ...

    def replies(self, stage: Stage) -> Mapping[str, int]:
        """Number of lines of answer files about each of these requests, if there are any."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Chosen:
    """Which images are asked about: all, unless one of these says less."""

    limit: int | None = None  # at most so many, those whose records' hashes are the smallest: the same in all stages
    split: str | None = None
    source: str | None = None  # its name

    def fits(self, record: str) -> bool:
        """Whether a record is of the source and split; `limit` is another matter."""
        source, split, _ = record.split("/", 2)
        return self.source in (None, source) and self.split in (None, split)


@dataclass(slots=True)
class Exported:
    """What an export did: its books."""

    stage: Stage
    files: list[Written] = field(default_factory=list)
    requests: int = 0
    bytes: int = 0
    tokens: int = 0  # of the requests, estimated
    answer_tokens: int = 0  # expected
    already: int = 0  # exported before
    changed: int = 0  # of the requests, those about an image that was asked otherwise before
    left_out: Counter[str] = field(default_factory=Counter)  # images by reason
    examples: dict[str, str] = field(default_factory=dict)  # reason: a record, and what was found

    def leave_out(self, reason: str, record: str, detail: str = "") -> None:
        """Enter an image that is not asked about."""
        self.left_out[reason] += 1
        self.examples.setdefault(reason, f"{record} ({detail})" if detail else record)

    def enter(self, request: Request) -> None:
        """Enter a request that was written."""
        self.requests += 1
        self.bytes += request.bytes
        self.tokens += request.tokens
        self.answer_tokens += request.answer_tokens


@dataclass(frozen=True, slots=True, kw_only=True)
class Asking:
    """What a stage needs to make requests of subjects."""

    specs: tuple[SourceSpec, ...]
    generation: Generation
    rule: ImageRule  # how the model counts images
    subjects: Subjects
    render: Render
    answers: Answers | None  # None: nothing was ever answered

    def earlier(self, stage: Stage, record: str) -> dict[str, Any] | None:
        """What the accepted answer of a stage says."""
        accepted = self.answers.accepted(stage, record) if self.answers is not None else None
        return None if accepted is None else accepted.content


def export(
    workspace: Workspace, stage: Stage, asking: Asking, *, chosen: Chosen | None = None, limits: Limits | None = None,
    workers: int = 1,
) -> Exported:  # fmt: skip
    """Write the requests of a stage that were not exported yet.

    Raises:
        UsageError: No image has the answer that the stage needs, parameters hold a secret, the folder is busy or full.
        SourceError: A source is not what its reader expects.
    """
    check_parameters(asking.generation)
    exported = Exported(stage)
    with opened(workspace):
        survey = _look_through(stage, asking, chosen or Chosen(), exported)
        known = _exported_before(workspace, stage)
        asked_about = set(known.values())
        progress = Progress(f"exporting {stage}", survey.images, "images")
        make = partial(_make, stage=stage, generation=asking.generation, rule=asking.rule, render=asking.render)
        wishes = _wishes(stage, asking, survey)
        processes = max(1, min(workers, survey.images // A_WORKER))
        with (
            PartWriter(workspace, stage, limits or Limits(), exported.files.append) as writer,
            closing(in_order(make, wishes, processes)) as results,
        ):
            for made in results:
                progress.advance()
                if isinstance(made, _Flawed):
                    exported.leave_out(made.reason, made.record, made.detail)
                elif not writer.fits(made.line):
                    exported.leave_out(TOO_LARGE, made.request.record, f"{len(made.line):,} bytes")
                else:
                    _enter(made, writer, known, asked_about, exported)
        progress.close()
    return exported


def repeat(
    workspace: Workspace, stage: Stage, ledger: Rounds, *, rounds: int, reason: str | None = None,
    chosen: Chosen | None = None, limits: Limits | None = None,
) -> Exported:  # fmt: skip
    """Write the next round: requests without an accepted answer, line by line as they were, into new files.

    A request that is still waiting for the answer to its last export is left alone, so that doing this twice repeats
    nothing twice. Only the reason `unanswered` means just those: then the ones that were exported the fewest times are
    repeated, and a second run repeats them once more.

    Args:
        workspace: The folder.
        stage: Of the requests.
        ledger: What became of them.
        rounds: Times that one request is exported at most.
        reason: Repeat only those whose last answer was unfit for this reason.
        chosen: Repeat only those about these images.
        limits: Of a file.

    Raises:
        UsageError: A file of an earlier round is gone or was changed, the folder is busy or full.
    """
    exported = Exported(stage)
    with opened(workspace):
        pending = tuple(ledger.pending(stage, reason))
        replies = ledger.replies(stage)
        places = _places(workspace, stage, frozenset(pending))
        due = [places[name] for name in pending]
        due = _fitting(due, chosen or Chosen())
        if reason == "unanswered":
            fewest = min((place.request.round for place in due), default=0)
            due = [place for place in due if place.request.round == fewest]
        progress = Progress(f"repeating {stage}", len(due), "requests")
        with PartWriter(workspace, stage, limits or Limits(), exported.files.append) as writer:
            for place in due:
                progress.advance()
                record = place.request.record
                came = replies.get(place.request.custom_id, 0)
                if place.request.round >= rounds:
                    exported.leave_out(ROUNDS_OVER, record, f"{place.request.round} times")
                elif reason != "unanswered" and came <= place.request.replies:
                    exported.leave_out(WAITING, record)
                elif place.request.bytes > writer.limits.bytes:
                    exported.leave_out(TOO_LARGE, record, f"{place.request.bytes:,} bytes")
                else:
                    again = replace(place.request, round=place.request.round + 1, replies=came)
                    writer.add(again, place.line())
                    exported.enter(again)
        progress.close()
    return exported


@contextmanager
def opened(workspace: Workspace) -> Iterator[None]:
    """Make the folder if need be, keep other exports out of it, and remove what a killed one left half written.

    Raises:
        UsageError: Another export is at work in it, it is a file, or it cannot be written.
    """
    folder = workspace.folder
    if folder.exists() and not folder.is_dir():
        raise UsageError(f"{folder}: is a file, expected a folder of requests or a new name")
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with (folder / LOCK).open("w") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)  # the system lets go of it when this process ends
            except BlockingIOError:
                raise UsageError(f"{folder}: another export is at work in this folder") from None
            for path in folder.iterdir():
                if re.fullmatch(rf".+\.jsonl\.\d+{re.escape(TEMPORARY)}", path.name):
                    path.unlink()
            yield
    except OSError as error:
        raise disk_trouble(error, folder) or error from None


@dataclass(frozen=True, slots=True, kw_only=True)
class _Survey:
    """What the first look at all subjects found."""

    images: int  # that are asked about
    chosen: Chosen
    last_hash: int | None  # of the images that `limit` leaves, the largest

    def has(self, record: str) -> bool:
        return self.chosen.fits(record) and (self.last_hash is None or _hash(record) <= self.last_hash)


def _hash(record: str) -> int:
    return hash64(record, "gpt4v limit")


def _all_subjects(asking: Asking, chosen: Chosen, notes: Mapping[str, Counter[str]]) -> Iterator[Subject]:
    for spec in asking.specs:
        if chosen.source in (None, spec.name):  # another one need not even be there
            yield from asking.subjects(spec, notes[spec.name])


def _look_through(stage: Stage, asking: Asking, chosen: Chosen, exported: Exported) -> _Survey:
    """Count subjects, choose those that `limit` leaves, and enter what is left out before any image is opened."""
    progress = Progress("looking through the sources", 0, "images")
    notes = {spec.name: Counter[str]() for spec in asking.specs}
    smallest: list[tuple[int, str]] = []  # a heap: hashes, negative so that the largest is at its top, and lacks
    lacks: Counter[str] = Counter()
    for subject in _all_subjects(asking, chosen, notes):
        if not chosen.fits(subject.record):
            continue
        progress.advance()
        lack = _wish(stage, asking, subject).lack
        if chosen.limit is None:
            lacks[lack] += 1
        else:
            push = heapq.heappush if len(smallest) < chosen.limit else heapq.heappushpop
            push(smallest, (-_hash(subject.record), lack))
    progress.close()
    for source, counts in notes.items():
        for reason, count in counts.items():
            exported.left_out[f"{source}: {reason}"] += count
    lacks.update(lack for _, lack in smallest)
    images = lacks.total()
    if not images:
        raise UsageError(_nothing(asking, chosen))
    if not lacks[""]:
        ((lack, count), *_) = lacks.most_common(1)
        raise UsageError(f"stage {stage} has nothing to ask about {images:,} images; of {count:,} of them: {lack}")
    return _Survey(images=images, chosen=chosen, last_hash=-smallest[0][0] if smallest else None)


def _nothing(asking: Asking, chosen: Chosen) -> str:
    names = ", ".join(spec.name for spec in asking.specs)
    if chosen.source is None and chosen.split is None:
        return f"no image to ask about in {names or 'any source'}"
    what = " and ".join(
        f"{key} {value!r}" for key, value in (("source", chosen.source), ("split", chosen.split)) if value is not None
    )
    return f"no image to ask about with {what}; the sources that can be asked about are {names or 'none'}"


@dataclass(frozen=True, slots=True, kw_only=True)
class _Wish:
    """An image to be asked about, with what earlier stages found; or why it cannot be."""

    subject: Subject
    lack: str = ""
    local: dict[str, Any] | None = None
    scene: dict[str, Any] | None = None


def _wish(stage: Stage, asking: Asking, subject: Subject) -> _Wish:
    asks = bool(subject.facts.objects) and asks_local(subject.facts, *_sent_size(subject))
    if stage == "local":
        return _Wish(subject=subject, lack="" if asks else NO_OBJECT)
    local = asking.earlier("local", subject.record) if asks else None
    scene = asking.earlier("global", subject.record) if NEEDS[stage] == "global" else None
    missing = "local" if asks and local is None else "global" if NEEDS[stage] == "global" and scene is None else ""
    lack = f"no accepted answer of stage {missing}: export that stage, and import what a model answered"
    return _Wish(subject=subject, lack=lack if missing else "", local=local, scene=scene)


def _sent_size(subject: Subject) -> tuple[int, int]:
    """The size of the image that will be sent, as far as it is known before it is opened; pixels."""
    facts = subject.facts
    if facts.width is None or facts.height is None:
        header = None if subject.image.window is not None else read_header(subject.image.path)
        size = (1, 1) if header is None else header.size  # where there is no image nothing will be asked
    else:
        size = (facts.width, facts.height)
    return reduced_size(size, subject.image.max_side)[0]


@dataclass(frozen=True, slots=True)
class _Flawed:
    record: str
    reason: str
    detail: str = ""


@dataclass(frozen=True, slots=True)
class _Made:
    request: Request
    line: bytes


def _wishes(stage: Stage, asking: Asking, survey: _Survey) -> Iterator[_Wish]:
    for subject in _all_subjects(asking, survey.chosen, {spec.name: Counter() for spec in asking.specs}):
        if survey.has(subject.record):
            yield _wish(stage, asking, subject)


def _make(wish: _Wish, *, stage: Stage, generation: Generation, rule: ImageRule, render: Render) -> _Made | _Flawed:
    """Make the request of one image; runs in a process of its own."""
    subject = wish.subject
    if wish.lack:
        # an image that is not there was asked about in no stage, and that is why the answer is missing
        gone = next((path for path in subject.image.files if not path.exists()), None)
        return _Flawed(subject.record, wish.lack) if gone is None else _Flawed(subject.record, MISSING, gone.name)
    try:
        # Decoding would cost more than all the rest of a request; the build decodes the image in any case.
        image = load_image(subject.image, proof="ends")
    except ImageFlaw as flaw:
        return _Flawed(subject.record, flaw.reason, flaw.detail)
    facts = sized(subject.facts, image)
    boxes = box_form(facts, generation.boxes)
    rendered = render(
        stage, facts, boxes=boxes, width=image.width, height=image.height, local=wish.local, scene=wish.scene
    )
    return _Made(*make_request(subject, stage, rendered, image, generation, boxes, 1, rule))


def _exported_before(workspace: Workspace, stage: Stage) -> dict[bytes, int]:
    """The ids of all requests of a stage, without the stage, and the hashes of their records."""
    return {
        bytes.fromhex(request.custom_id.rpartition("-")[2]): _hash(request.record)
        for part in workspace.parts()
        if part.stage == stage
        for request in read_index(part.index)
    }


def _enter(made: _Made, writer: PartWriter, known: dict[bytes, int], asked_about: set[int], exported: Exported) -> None:
    request = made.request
    digest, record = bytes.fromhex(request.custom_id.rpartition("-")[2]), _hash(request.record)
    if digest not in known:
        writer.add(request, made.line)
        exported.enter(request)
        exported.changed += record in asked_about
        known[digest] = record
    elif known[digest] == record:
        exported.already += 1
    else:
        exported.leave_out(SAME, request.record)


@dataclass(frozen=True, slots=True)
class _Place:
    """Where a request was written last."""

    part: Part
    offset: int
    request: Request

    def line(self) -> bytes:
        try:
            with self.part.path.open("rb") as file:
                file.seek(self.offset)
                line = file.read(self.request.bytes)
        except FileNotFoundError:
            line = b""
        if not (line.startswith(f'{{"custom_id":"{self.request.custom_id}"'.encode()) and line.endswith(b"\n")):
            raise UsageError(
                f"{self.part.path}: does not hold request {self.request.custom_id} where its index says; a later round "
                "repeats lines of earlier files, which must stay as they were written"
            )
        return line


def _places(workspace: Workspace, stage: Stage, wanted: frozenset[str]) -> dict[str, _Place]:
    """Where the requests of these ids were written last."""
    places: dict[str, _Place] = {}
    for part in workspace.parts():
        if part.stage != stage:
            continue
        for request, offset in read_places(part):
            if request.custom_id in wanted:
                places[request.custom_id] = _Place(part, offset, request)  # a later file is a later round
    return places


def _fitting(due: Iterable[_Place], chosen: Chosen) -> list[_Place]:
    fitting = [place for place in due if chosen.fits(place.request.record)]
    if chosen.limit is None or len(fitting) <= chosen.limit:
        return fitting
    kept = set(sorted((place.request.record for place in fitting), key=_hash)[: chosen.limit])
    return [place for place in fitting if place.request.record in kept]
