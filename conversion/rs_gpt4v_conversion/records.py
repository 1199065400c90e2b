"""What flows between the stages: frozen records, each with one maker and few readers.

    read  ─ Scene ─>  scenes (tile, ask)  ─┐
          ─ Annotation ────────────────────┴─>  adapt  ─ Draft, Reject ─>  write  ─ rows of a shard, Reject

A reader yields `Annotation`s where the source itself says what is asked, and `Scene`s where it only marks objects.

All boxes are in pixels of the image, origin at its top left corner, x to the right and y down.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

BBox = tuple[float, float, float, float]
"""x1 y1 x2 y2 of an upright box, x1 < x2 and y1 < y2."""

Window = tuple[int, int, int, int]
"""x y w h of a part of an image."""

Obb = tuple[float, float, float, float, float, float, float, float]
"""x y of four corners, clockwise in the image, starting at the source's first corner."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Object:
    """One annotated object of an image."""

    category: str  # in plain words and lower case, whatever the source's spelling
    bbox: BBox | None
    obb: Obb | None = None
    difficult: bool = False  # the annotators' own flag
    ignore: bool = False  # a region that is not to be judged: never asked about, never counted
    number: int = -1  # position in the source's list of its image, the same in all tiles; -1: as in this record
    iof: float = 1.0  # share of the object's box that lies in this image: less than 1 at the edge of a tile


@dataclass(frozen=True, slots=True, kw_only=True)
class Stretch:
    """Which bands of a sensor become red, green and blue, and which of their values become 0 and 255.

    Values between are spread evenly, those beyond are cut off.
    """

    bands: tuple[str, ...]  # names of the three
    low: float
    high: float
    places: tuple[int, ...] = ()  # positions of the bands in the image's file, from 0
    files: tuple[Path, ...] = ()  # instead, where every band has a file of its own


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageRef:
    """Where an image is and what is known of it before it is opened."""

    image_id: str  # unique within the source; the last part of a row's id
    source_id: str  # the image's name in the source
    path: Path  # the file to read; the first one where every band has its own
    image_path: str  # under which the paper's own files name it
    width: int | None = None  # pixels as the annotation states them; checked when the image is opened
    height: int | None = None
    gsd: float | None = None  # metres per pixel
    origin: str = ""  # `<collection>/<name>`, equal for one picture in several sources; empty where not known
    parent: str = ""  # image id of the image that this is a tile of
    window: Window | None = None  # the tile, in the file's pixels
    whole: tuple[int, int] | None = None  # width and height of the parent, as `width` and `height` are the tile's
    max_side: int | None = None  # the image is reduced so that no side is longer, in pixels
    stretch: Stretch | None = None  # of an image whose bands are no 8-bit RGB

    @property
    def files(self) -> tuple[Path, ...]:
        """All files that the image is made from."""
        return (self.stretch and self.stretch.files) or (self.path,)


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
class Presence:
    """Whether a category is in the image."""

    category: str
    present: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Count:
    """How many objects of a category there are; the answer comes from the objects."""

    category: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """Whether there are more objects of one category than of another; the answer comes from the objects."""

    more: str
    than: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Position:
    """In which ninth of the image the only object of its category lies."""

    item: int  # position in the annotation's objects


@dataclass(frozen=True, slots=True, kw_only=True)
class Grounding:
    """Where all objects of one category are; the answer comes from the objects."""

    category: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Referring:
    """Where the object is that an expression means."""

    expression: str
    item: int  # position in the annotation's objects


@dataclass(frozen=True, slots=True, kw_only=True)
class Region:
    """What is in the box of one object."""

    text: str
    item: int  # position in the annotation's objects


@dataclass(frozen=True, slots=True, kw_only=True)
class Turn:
    """A question and its answer in the very words of the source: of files that are conversations already.

    Turns of one number, one after the other, are one dialogue: each depends on those before it.
    """

    question: str  # without the image tag
    answer: str
    category: str  # one of the contract's categories of the task
    dialogue: int  # number within the annotation
    template: str
    generator: str  # who answered: `annotation`, a model's name, or `unknown`
    review: str = "unreviewed"
    items: tuple[int, ...] = ()  # positions in the annotation's objects


DEPENDENT = "follows a rejected turn"
"""Why a turn is rejected that is sound, but comes after one that is not: it may speak of what nobody said."""

Fact = Caption | Question | Presence | Count | Comparison | Position | Grounding | Referring | Region | Turn
"""What a source says about an image: each becomes one question-answer pair, or one reject."""

BoxForm = Literal["hbb", "obb"]
"""How boxes are written in text: upright or rotated."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Scene:
    """All objects that a source marks in one image, before any question is made of them."""

    split: str
    image: ImageRef
    objects: tuple[Object, ...]
    searched: tuple[str, ...]  # categories that were looked for: one that is not marked is not there
    # categories of which a mark could not be used: neither counted nor said to be absent
    uncertain: tuple[str, ...] = ()
    boxes: BoxForm = "hbb"


@dataclass(frozen=True, slots=True, kw_only=True)
class Annotation:
    """All that one source says about one image under one task: what a reader yields."""

    task: str
    split: str
    image: ImageRef
    facts: tuple[Fact, ...]
    objects: tuple[Object, ...] = ()
    boxes: BoxForm = "hbb"  # how they are written in text
    modality: str = ""  # of this image, where it is not the source's
    license: str = ""  # likewise


@dataclass(frozen=True, slots=True, kw_only=True)
class Flaw:
    """A record that a reader cannot turn into a fact: it becomes a reject of one pair."""

    task: str
    split: str
    image_id: str
    record: str  # names the record within the image or the file
    reason: str  # a few words, the same for all records with this flaw
    detail: str = ""  # what was found in this one
    stage: str = "read"  # where it was found: read, or gpt4v for a model's answer


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
    stage: str  # read, gpt4v, verify, leakage, image
    reason: str
    detail: str = ""
