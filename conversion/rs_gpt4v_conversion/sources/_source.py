"""What a source module says about itself."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from rs_gpt4v_conversion.records import Annotation, BoxForm, Flaw, Note, Scene
from rs_gpt4v_conversion.sources._folder import Folder


@dataclass(frozen=True, slots=True, kw_only=True)
class Option:
    """A key of a [[source]] table that belongs to one source."""

    name: str
    help: str
    choices: tuple[str, ...] = ()  # allowed values; empty: any string
    path: bool = False  # a file: relative to the source's root, or else to SOURCES.toml
    least: int | float | None = None  # a number of at least this (whole where this is); None: a string
    states: bool = False  # its value takes the place of the field of this name in `Source`


ANNOTATIONS = Option(name="annotations", help="the JSON file, where it is not in its usual place", path=True)
"""For sources whose annotations may be a single file."""

BOXES = Option(name="boxes", help="how boxes are written in text: upright or rotated", choices=("hbb", "obb"))
"""For sources whose objects have rotated boxes."""

TILING = (
    Option(
        name="tile", help="side of the square tiles that images are cut into, pixels; 0: images stay whole", least=0
    ),
    Option(name="overlap", help="pixels that neighbouring tiles share", least=0),
    Option(name="keep", help="share of an object's box that must lie in a tile for it to be judged there", least=0.0),
)
"""For sources whose images are too large for a row."""

Options = Mapping[str, str | int | float]
"""The values that the user gave for a source's own options."""

Read = Callable[[Folder, Options], Iterator[Annotation | Scene | Flaw | Note]]
"""A reader: (the source's folder, options) to what the annotation files say, image by image.

Of images it opens no more than the header, and does without where they are not there (`Folder.size`).
"""


def option_path(options: Options, name: str, default: Path) -> Path:
    """The file that the user named in an option, or the usual one."""
    return Path(str(options.get(name, default)))


def box_form(options: Options) -> BoxForm:
    """The form of boxes in text that the user chose, upright where nothing was said."""
    return "obb" if options.get("boxes") == "obb" else "hbb"


@dataclass(frozen=True, slots=True, kw_only=True)
class PaperFigure:
    """A line of the paper's composition table."""

    images: int
    qa_pairs: int
    note: str = ""  # why what is read differs from it, where that is known


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
    splits: Mapping[str, tuple[int | None, int | None]]
    paper: Mapping[tuple[str, str], PaperFigure] = field(default_factory=dict)  # by (task, split)
    options: tuple[Option, ...] = ()
    reject_limit: float = 0.2  # share of pairs that may be rejected before the build stops
    shares_images: bool = False  # the official splits are known to have images in common
    caveat: str = ""  # sentences for the card that a user of these splits must know
    adapted: "Callable[[Source, Options], Source] | None" = None  # these facts as some options make them
    detects: bool = False  # it marks objects: its reader yields scenes
    # what it holds is in the file and in the options: of the stated tasks and splits it may have any
    imported: bool = False
    tile: int = 0  # side of the tiles that its images are cut into unless the user says otherwise, pixels; 0: whole

    def with_options(self, options: Options) -> "Source":
        """These facts as they are with a user's options.

        Another split of a source may share images, for example, and of an import only the user knows the licence.
        """
        stated: dict[str, Any] = {o.name: options[o.name] for o in self.options if o.states and o.name in options}
        for name, value in stated.items():
            if isinstance(getattr(self, name), bool):
                stated[name] = value == "yes"
        source = replace(self, **stated)
        return source if self.adapted is None else self.adapted(source, options)
