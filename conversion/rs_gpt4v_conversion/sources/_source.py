"""What a source module says about itself."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field

from rs_gpt4v_conversion.records import Annotation, Flaw, Note
from rs_gpt4v_conversion.sources._folder import Folder


@dataclass(frozen=True, slots=True, kw_only=True)
class Option:
    """A key of a [[source]] table that belongs to one source."""

    name: str
    help: str
    choices: tuple[str, ...] = ()  # allowed values; empty: any string
    path: bool = False  # a file: relative to the source's root, or else to SOURCES.toml


Options = Mapping[str, str]
"""The values that the user gave for a source's own options."""

Read = Callable[[Folder, Options], Iterator[Annotation | Flaw | Note]]
"""A reader: (the source's folder, options) to what the annotation files say, image by image; it opens nothing else."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PaperFigure:
    """A line of the paper's composition table."""

    images: int
    qa_pairs: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """The facts about a source, and how to read it. Card, manifest and `plan --list-sources` are made from these."""

    kind: str  # the module's name
    title: str  # as its authors call it
    tasks: tuple[str, ...]
    read: Read
    layout: tuple[str, ...]  # the paths that its folder holds, one a line
    modality: str
    license: str  # short; what a row's `license` says
    redistribute: bool  # whether the images may be passed on, cautiously read
    homepage: str
    citation: str  # BibTeX
    # official images and annotated units (captions, questions, boxes) by split, None where not known to us
    splits: Mapping[str, tuple[int | None, int]]
    paper: Mapping[tuple[str, str], PaperFigure] = field(default_factory=dict)  # by (task, split)
    options: tuple[Option, ...] = ()
    reject_limit: float = 0.2  # share of pairs that may be rejected before the build stops
    shares_images: bool = False  # the official splits are known to have images in common
