"""What flows between the parts of the GPT-4V stage: frozen records, each with one maker and few readers."""

from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Literal, Protocol

from rs_gpt4v_conversion.records import BoxForm, ImageRef, Object

Stage = Literal["local", "global", "detail", "conversation", "reasoning", "planning"]

STAGES: tuple[Stage, ...] = ("local", "global", "detail", "conversation", "reasoning", "planning")
"""In the order in which they are asked."""

NEEDS: dict[Stage, Stage | None] = {
    "local": None,
    "global": "local",  # where there are objects to be asked about
    "detail": "global",
    "conversation": "global",
    "reasoning": "global",
    "planning": "global",
}
"""The stage whose accepted answer is part of a stage's question."""

TASKS: dict[Stage, tuple[str, str]] = {
    "detail": ("detailed_description", "detail"),
    "conversation": ("conversation", "conv"),
    "reasoning": ("conversation", "complex"),
    "planning": ("task_planning", "planning"),
}
"""Task and category of the pairs that a stage's answers become; local and global answers only feed later stages."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """All that the annotations say of one image: what a question tells the model and what its answer is held against.

    Boxes are in pixels of the image, origin at its top left corner.
    """

    record: str  # `<source>/<split>/<image id>`
    width: int | None = None  # pixels, as the annotation states them
    height: int | None = None
    objects: tuple[Object, ...] = ()
    # categories of which every object is marked: their number is known, and one that is not marked is not there
    searched: tuple[str, ...] = ()
    uncertain: tuple[str, ...] = ()  # categories of which a mark could not be used: neither counted nor absent
    captions: tuple[str, ...] = ()
    expressions: tuple[tuple[int, str], ...] = ()  # (position in objects, what the source says of that object)
    modality: str = "optical"
    gsd: float | None = None  # metres per pixel


@dataclass(frozen=True, slots=True, kw_only=True)
class Subject:
    """One image of a source that a model can be asked about."""

    source: str  # its name in ids
    split: str
    image: ImageRef
    license: str
    facts: Facts

    @property
    def record(self) -> str:
        """`<source>/<split>/<image id>`."""
        return self.facts.record


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """One request as the index beside its file describes it: everything but the body."""

    custom_id: str  # `<stage>-<32 hex digits>`, see requests.py
    record: str
    stage: Stage
    prompt: str  # `<id>/<version>`
    boxes: BoxForm
    model: str
    image_sha256: str  # of the bytes that are sent
    width: int  # of the image that is sent, pixels
    height: int
    round: int  # 1 when it was exported first, 2 for the first repeat
    bytes: int  # of its line in the request file
    tokens: int  # of text and image, estimated
    answer_tokens: int  # expected of the answer
    scale: float = 1.0  # of the image that is sent, against the one whose pixels the annotations count
    replies: int = 0  # lines of answer files that were there for it when this was exported
    listing: str = ""  # which objects the numbers in its answer mean, see listing.py; empty: not known


class Outcome(StrEnum):
    """What became of one line of an answer file."""

    OK = "ok"  # well formed; whether it is true is judged apart
    REFUSED = "refused"
    CONTENT_FILTER = "content_filter"
    TRUNCATED = "truncated"
    HTTP_ERROR = "http_error"
    EXPIRED = "expired"
    BAD_JSON = "bad_json"
    SCHEMA_ERROR = "schema_error"
    UNKNOWN_ID = "unknown_id"
    DUPLICATE = "duplicate"


@dataclass(frozen=True, slots=True, kw_only=True)
class Usage:
    """Tokens that a vendor counted."""

    prompt: int = 0
    cached: int = 0  # of the prompt, at a lower price
    completion: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Used:
    """What the answers of one stage and model cost in tokens: all that came, usable or not."""

    stage: Stage
    model: str  # as the vendor returned it; empty where a line does not say
    lines: int
    usage: Usage


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """One line of an answer file, read, whatever vendor wrote it: not yet held against requests and annotations."""

    custom_id: str  # empty where the line has none
    outcome: Outcome  # ok, or what can be said of the line alone
    detail: str = ""  # what was found, a few words
    text: str = ""  # the model's words, as they came
    model: str = ""  # as the vendor returned it
    fingerprint: str = ""  # `system_fingerprint`
    finish: str = ""  # `finish_reason` or what stands for it
    usage: Usage = Usage()
    readable: bool = True  # False: the line is no JSON object, so that nothing is known of it


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """Something that a check of consistency holds against an answer."""

    check: str  # its name, the same for all findings of one kind: `count_mismatch`, ...
    detail: str  # what the answer says and what the annotations say


@dataclass(frozen=True, slots=True, kw_only=True)
class Accepted:
    """An answer that is well formed and passed the checks: what later stages and the build read."""

    stage: Stage
    record: str
    prompt: str  # `<id>/<version>`, or `foreign/<name>` of an answer to a question that was not ours
    model: str  # as the vendor returned it
    content: dict[str, Any]  # fits the stage's schema, see schemas.py


@dataclass(frozen=True, slots=True, kw_only=True)
class Rejected:
    """Why the last answer of a stage about a record cannot be used."""

    reason: str  # an outcome, or the name of a check
    detail: str


class Answers(Protocol):
    """Where accepted answers are looked up: the ledger, or a dictionary in a test."""

    def accepted(self, stage: Stage, record: str) -> Accepted | None:
        """The answer of a stage about a record; of several, the one to the request that was exported last."""
        ...
