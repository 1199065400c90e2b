"""What flows between the stages: frozen records, each with one maker and few readers.

    read   ─ Annotation, Reject ─>  adapt  ─ Draft, Reject ─>  write  ─ rows of a shard, Reject

All boxes are in pixels of the image, origin at its top left corner, x to the right and y down.
"""

from dataclasses import dataclass
from pathlib import Path

BBox = tuple[float, float, float, float]
"""x1 y1 x2 y2 of an upright box, x1 < x2 and y1 < y2."""

Obb = tuple[float, float, float, float, float, float, float, float]
"""x y of four corners, clockwise in the image, starting at the source's first corner."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Object:
    """One annotated object of an image."""

    category: str  # in plain words and lower case, whatever the source's spelling
    bbox: BBox | None
    obb: Obb | None = None
    difficult: bool = False  # the annotators' own flag
    ignore: bool = False  # a region that the annotators mark as one not to be judged


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageRef:
    """Where an image is and what is known of it before it is opened."""

    image_id: str  # unique within the source; the last part of a row's id
    source_id: str  # the image's name in the source
    path: Path  # the file to read
    image_path: str  # under which the paper's own files name it
    width: int | None = None  # pixels as the annotation states them; checked when the image is opened
    height: int | None = None
    gsd: float | None = None  # metres per pixel


@dataclass(frozen=True, slots=True, kw_only=True)
class Caption:
    """A sentence about a whole image, as read."""

    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """A question about an image and its answer, as read."""

    question: str
    answer: str
    category: str  # one of the contract's categories of the task


@dataclass(frozen=True, slots=True, kw_only=True)
class Grounding:
    """The wish to ask where the objects of one category are; the answer comes from the objects."""

    category: str


Fact = Caption | Question | Grounding
"""What a source says about an image: each becomes one question-answer pair, or one reject."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Annotation:
    """All that one source says about one image under one task: what a reader yields."""

    task: str
    split: str
    image: ImageRef
    facts: tuple[Fact, ...]
    objects: tuple[Object, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Flaw:
    """A record that a reader cannot turn into a fact: it becomes a reject of one pair."""

    task: str
    split: str
    image_id: str
    record: str  # names the record within the image or the file
    reason: str  # a few words, the same for all records with this flaw
    detail: str = ""  # what was found in this one


@dataclass(frozen=True, slots=True, kw_only=True)
class Note:
    """Something a reader repaired or left out that is no pair: counted and shown, never silent."""

    reason: str
    count: int = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Pair:
    """One question and its answer as a row holds them."""

    question: str  # without the image tag
    answer: str
    category: str
    dialogue: int
    template: str
    generator: str = "annotation"
    review: str = "unreviewed"
    objects: tuple[int, ...] = ()  # positions in the row's objects


@dataclass(frozen=True, slots=True, kw_only=True)
class Draft:
    """A row without its image: all that is known before the image is opened."""

    id: str
    task: str
    split: str
    source: str
    modality: str
    license: str
    image: ImageRef
    pairs: tuple[Pair, ...]
    objects: tuple[Object, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Reject:
    """One question-answer pair that does not get into the release, and why: one line of rejects.jsonl."""

    id: str  # `<row id>#<record>`
    task: str
    source: str
    split: str
    stage: str  # read, adapt, verify, image
    reason: str
    detail: str = ""
