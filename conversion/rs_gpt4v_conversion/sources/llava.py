r"""Files in the style of LLaVA: instruction datasets of others, and what `rs-gpt4v export llava` wrote.

    <root>/train.json                           or what `annotations` names: a JSON list, or JSON lines
    <root>/<image>                              or below what `images` names

    {"id": "p7-a", "image": "imgs/p7.png", "conversations": [
      {"from": "human", "value": "<image>\nHow many ships are at the pier?"}, {"from": "gpt", "value": "Two."},
      {"from": "human", "value": "Are they moving?"}, {"from": "gpt", "value": "No, both are moored."}]}

A file is read under one task (`task`, conversation where nothing is said) and one split (`split`, train). All records
of an image become one row, each a dialogue; ids are made from the image's path, since records' own ids repeat
(VRSBench's are all alike). Licence, modality and the rest are what SOURCES.toml states. Answers are by `generator`, or
unknown.

With the sidecars of an export beside the file every pair comes back as it was in the release: task, split, dialogue,
template, generator, objects, licence. `task` and `split` then choose among the rows. Ids begin with the source that the
release had them from. A tile comes back as an image of its own, since its parent is not in the export.

Other forms, told by the keys of the first record:
- questions in lines {question_id, image, text, answer, category}, as the paper's test files: each a dialogue of its
  own, because such a file does not say which belong together; a list of answers is one pair each. A file that keeps its
  name in the paper (`RSVQA_LR.jsonl`, with `task = "vqa"` and `split = "test"`) is shown beside the paper's figures and
  exported under that name again.
- VRSBench's test files {image_id, question, ground_truth, type, obj_cls, obj_corner}.
- EarthDial's result files {question, answer, annotation or gt_bbox or caption0 ...}: `answer` is what a model said and
  is never read. They name no image: `names` is a text file with one image name for each of their lines.

`style` says how text is written: `llava` leaves it alone, the others (alike in this) take out tags such as `[refer]`
at the head of a question and <p> around phrases, and turn boxes on a grid of 100 (_grid.py) into objects in pixels and
into the form that a release has; boxes of any other form stay text. Where `style` is not stated, it is `llava` unless
some text has such a box or the file is of another form. `tag` takes only records whose question begins with that tag,
for GeoChat's and VRSBench's train files mix tasks. Of an image that is not there the size is not known, and its boxes
stay on the grid; such a row is in no release.

Quirks, all measured in public files or guarded against by their users:
- the image tag within the question or missing: put at its head, noted; twice, or in a later turn: rejected;
- the answer first, two turns of one speaker, other speakers: rejected; a last question without answer: it alone;
- an empty answer: rejected, with the turns that follow it;
- a coordinate above 100 or below 0 (one GeoChat row in twelve): an upright box is cut off at the edge, noted, and the
  corners of a rotated one stay where they are; a box of three numbers, without area, or far off the grid (981): its
  pair is rejected, with the turns that follow it;
- obj_corner in any order: put in clockwise order; where it is not around the box of ground_truth: left out, noted.
"""

import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path, PurePosixPath
from typing import Any

from rs_gpt4v_conversion.errors import SourceError
from rs_gpt4v_conversion.geometry import envelope, in_turn, overlap
from rs_gpt4v_conversion.naming import SPLITS
from rs_gpt4v_conversion.records import (
    DEPENDENT,
    Annotation,
    BoxForm,
    Fact,
    Flaw,
    ImageRef,
    Note,
    Object,
    Referring,
    Turn,
)
from rs_gpt4v_conversion.sources._boxes import rotated
from rs_gpt4v_conversion.sources._folder import Folder
from rs_gpt4v_conversion.sources._grid import GRID, UNKNOWN, BoxFlaw, convert, has_angles, has_boxes
from rs_gpt4v_conversion.sources._json import describe, load_list
from rs_gpt4v_conversion.sources._llava import (
    CATEGORIES,
    Parsed,
    RecordFlaw,
    category_of,
    form_of,
    parse,
    plain,
    task_tag,
)
from rs_gpt4v_conversion.sources._names import image_path_flaw
from rs_gpt4v_conversion.sources._restored import has_sidecar, restore
from rs_gpt4v_conversion.sources._source import BOXES, Option, Options, Source, box_form, option_path

TEMPLATE = "imported/1"
"""What a pair's `template` says where the words are the file's own."""

TASK = "conversation"
"""LLaVA's own files are conversations."""

SPLIT = "train"
"""And they are to be trained on."""

AGREE = 0.5
"""Overlap (intersection over union) from which four corners are those of a box on the coarse grid."""

OPTIONS = (
    Option(name="annotations", help="the file, JSON or JSON lines (train.json)", path=True),
    Option(name="images", help="the folder in which the images' paths begin (root)", path=True),
    Option(name="task", help="what the questions are of (conversation)", choices=tuple(CATEGORIES)),
    Option(name="split", help="which split the file is (train)", choices=SPLITS),
    Option(
        name="style", help="how tags and boxes are written in the text (told by the file)",
        choices=("llava", "geochat", "vrsbench", "earthdial"),
    ),
    Option(name="tag", help="only records whose question begins with this tag, such as refer; none: with no tag"),
    Option(name="names", help="a text file with the image's name for each record, where they do not say it", path=True),
    Option(name="generator", help="who wrote the answers: annotation, or a model's name (unknown)"),
    Option(name="title", help="what the dataset is called", states=True),
    Option(name="license", help="of the dataset, short (not stated)", states=True),
    Option(name="modality", help="of the images (optical)", choices=("optical", "sar", "infrared"), states=True),
    Option(
        name="redistribute", help="whether the images may be passed on (no)", choices=("yes", "no"), states=True
    ),
    Option(name="homepage", help="of the dataset", states=True),
    Option(name="citation", help="BibTeX of the dataset", states=True),
    BOXES,
)  # fmt: skip


def read(folder: Folder, options: Options) -> Iterator[Annotation | Flaw | Note]:
    """Read one file.

    Yields:
        An annotation an image (of each task and split, where the file has several); a flaw for each pair of a record
        that is none; notes for what was repaired or left out.

    Raises:
        SourceError: The file is not of a known form, names no images, or does not fit its sidecars.
    """
    path = option_path(options, "annotations", folder.root / "train.json")
    images = option_path(options, "images", folder.root)
    entries = load_list(folder, path)
    if has_sidecar(path):
        yield from restore(
            folder, path, entries, images, str(options.get("task", "")), str(options.get("split", ""))
        )  # fmt: skip
        return
    reader = _Reader(folder, path, images, options, entries)
    if "task" not in options:
        yield Note(reason=f"`task` is not stated: taken as {TASK}")
    if "split" not in options and reader.form != "conversations":
        yield Note(reason=f"`split` is not stated, of a file in the form of a test: taken as {SPLIT}")
    yield from reader.items()


@dataclass(slots=True)
class _Image:
    """What is known of one image so far."""

    path: str
    facts: list[Fact] = field(default_factory=list)
    objects: dict[Object, int] = field(default_factory=dict)  # with their positions
    dialogues: int = 0
    size: tuple[int, int] | None = None  # None: not looked for, or not known

    def position(self, item: Object) -> int:
        """Where an object is in the list, which it enters if it is new: many turns speak of one."""
        return self.objects.setdefault(item, len(self.objects))


class _Reader:
    """Reads the records of a file without sidecars."""

    def __init__(self, folder: Folder, path: Path, images: Path, options: Options, entries: list[dict[str, Any]]):
        self.folder, self.path, self.root, self.entries = folder, path, images, entries
        self.task, self.split = str(options.get("task", TASK)), str(options.get("split", SPLIT))
        self.generator = str(options.get("generator", "unknown"))
        self.tag = str(options.get("tag", ""))
        self.boxes: BoxForm = box_form(options)
        self.form = self._form()
        self.names = self._names(options)
        self.style = str(options.get("style", "")) or self._style()
        self.angles = any(has_angles(text) for entry in entries for text in _texts(entry))
        self.images: dict[str, _Image] = {}
        self.notes: Counter[str] = Counter()

    def items(self) -> Iterator[Annotation | Flaw | Note]:
        """What the file says, image by image."""
        for number, entry in enumerate(self.entries):
            yield from self._record(entry, number)
        for reason, count in self.notes.items():
            yield Note(reason=reason, count=count)
        ids = _image_ids(self.images)
        for image in self.images.values():
            if image.facts:
                yield self._annotation(image, ids[image.path])

    def _form(self) -> str:
        form = form_of(self.entries[0])
        if not form:
            raise SourceError(
                self.path, f"the keys {', '.join(list(self.entries[0])[:8]) or 'none'}",
                "id, image and conversations, or question_id, image, text and answer", record="record 1",
            )  # fmt: skip
        return form

    def _names(self, options: Options) -> list[str] | None:
        """The image of each record, from a file of its own."""
        if "names" not in options:
            if not any({"image", "image_id"} & entry.keys() for entry in self.entries):
                raise SourceError(
                    self.path, "records without an image", "the key `image` in each",
                    do="name a text file with one image name for each record in the key `names` of this source",
                )  # fmt: skip
            return None
        path = Path(str(options["names"]))
        names = [name.rstrip("\r") for name in self.folder.text(path, "names in UTF-8").split("\n")]
        names = names[:-1] if names and not names[-1] else names
        if len(names) != len(self.entries):
            raise SourceError(path, f"{len(names):,} names", f"{len(self.entries):,}, one for each record")
        return names

    def _style(self) -> str:
        if self.form in ("eval", "results"):
            return {"eval": "vrsbench", "results": "earthdial"}[self.form]
        texts = (turn for entry in self.entries for turn in _texts(entry))
        return "geochat" if any(has_boxes(text) for text in texts) else "llava"

    def _record(self, entry: dict[str, Any], number: int) -> Iterator[Flaw]:
        where = f"record {number + 1}"
        if self.tag and task_tag(next(_texts(entry), "")) != ("" if self.tag == "none" else self.tag):
            self.notes["record with another tag than the stated one, left out"] += 1
            return
        try:
            parsed = self._parsed(entry)
        except RecordFlaw as flaw:
            named = {} if self.names is None else {"image": self.names[number]}
            name = ({**entry, **named}).get("image", entry.get("image_id"))
            for lost in range(flaw.pairs):
                yield self._flaw(name, f"{where}.{lost}" if flaw.pairs > 1 else where, flaw.reason, flaw.detail)
            return
        if self.names is not None:
            parsed = replace(parsed, image=self.names[number])
        yield from self._enter(parsed, where)

    def _parsed(self, entry: dict[str, Any]) -> Parsed:
        if form_of(entry) != self.form:
            raise RecordFlaw("record of another form", f"keys {', '.join(list(entry)[:8])}")
        return parse(entry, self.form)

    def _enter(self, parsed: Parsed, where: str) -> Iterator[Flaw]:
        flaw = _image_flaw(parsed.image)
        pairs = sum(map(len, parsed.dialogues))
        if flaw:
            for lost in range(pairs + parsed.unanswered):
                yield self._flaw(parsed.image, f"{where}.{lost}", flaw, describe(parsed.image))
            return
        for note in parsed.notes:
            self.notes[note.reason] += note.count
        image = self.images.setdefault(parsed.image, _Image(path=parsed.image))
        for dialogue in parsed.dialogues:
            yield from self._dialogue(dialogue, parsed, image, where)
        if parsed.unanswered:
            yield self._flaw(parsed.image, f"{where}.{pairs}", "question without answer")

    def _dialogue(
        self, dialogue: tuple[tuple[str, str], ...], parsed: Parsed, image: _Image, where: str
    ) -> Iterator[Flaw]:
        number = image.dialogues
        image.dialogues += 1
        reason = ""
        for i, (question, answer) in enumerate(dialogue):
            if not reason:
                try:
                    image.facts.append(self._fact(question, answer, parsed, image, number))
                    continue
                except BoxFlaw as flaw:
                    reason, detail = flaw.reason, flaw.detail
            yield self._flaw(image.path, f"{where}.{i}", reason, detail)
            reason, detail = DEPENDENT, ""

    def _fact(self, question: str, answer: str, parsed: Parsed, image: _Image, dialogue: int) -> Fact:
        asked, said = question.strip(), answer.strip()
        items: list[int] = []
        if self.style != "llava":
            size = self._size(image) if has_boxes(question) or has_boxes(answer) else _STAND_IN
            kind = parsed.kind.strip().lower() or UNKNOWN
            of_question, of_answer = (
                convert(plain(text), size, self.boxes, kind, angles=self.angles) for text in (question, answer)
            )
            asked, said = of_question.text, of_answer.text
            found = [of_question.objects, of_answer.objects]
            notes = [*of_question.notes, *of_answer.notes]
            if parsed.corners is not None and len(of_answer.objects) == 1:
                thing, more = _with_corners(of_answer.objects[0], parsed.corners, size)
                found[1], notes = (thing,), [*notes, *more]
            positions = [[image.position(item) for item in items] for items in found]
            items = positions[1] or positions[0]
            for note in notes:
                self.notes[note.reason] += note.count
            writable = [item for item in found[1] if self.boxes == "hbb" or item.obb is not None]
            if self._is_expression(asked) and len(writable) == len(found[1]) == 1:
                return Referring(expression=asked, item=items[0])
        return Turn(
            question=asked, answer=said, category=category_of(parsed.category, self.task), dialogue=dialogue,
            template=TEMPLATE, generator=self.generator, items=tuple(dict.fromkeys(items)),
        )  # fmt: skip

    def _is_expression(self, asked: str) -> bool:
        """Whether a question only says which object is meant, so that it wants a wording."""
        return self.form == "eval" and self.task == "grounding" and not asked.endswith("?")

    def _size(self, image: _Image) -> tuple[int, int]:
        if image.size is None:
            image.size = self.folder.size(self.root / image.path)
        return image.size or _STAND_IN

    def _annotation(self, image: _Image, image_id: str) -> Annotation:
        width, height = image.size or (None, None)
        objects = tuple(replace(item, number=i) for i, item in enumerate(image.objects))
        return Annotation(
            task=self.task, split=self.split, facts=tuple(image.facts), objects=objects, boxes=self.boxes,
            image=ImageRef(
                image_id=image_id, source_id=PurePosixPath(image.path).name, path=self.root / image.path,
                image_path=image.path, width=width, height=height,
            ),
        )  # fmt: skip

    def _flaw(self, image: Any, record: str, reason: str, detail: str = "") -> Flaw:
        name = image if not _image_flaw(image) else self.path.stem
        return Flaw(
            task=self.task, split=self.split, image_id=str(name), record=record, reason=reason, detail=detail[:200]
        )


_STAND_IN = (int(GRID), int(GRID))
"""The size of an image that is not there: its boxes stay on the grid."""


def _image_flaw(name: object) -> str:
    if isinstance(name, list):
        return "record with several images"
    return image_path_flaw(name)


def _texts(entry: dict[str, Any]) -> Iterator[str]:
    """All text of a record in which a tag or a box may be, the first question first."""
    turns = entry.get("conversations")
    values = [t.get("value") for t in turns if isinstance(t, dict)] if isinstance(turns, list) else []
    values += [entry.get(key) for key in ("text", "question", "answer")]
    yield from (value for value in values if isinstance(value, str))


def _image_ids(images: dict[str, _Image]) -> dict[str, str]:
    """An id for each image: its path without the suffix, unless another has that too."""
    stems = {path: re.sub(r"\.[A-Za-z0-9]+$", "", path) for path in images}
    count = Counter(stems.values())
    return {path: stem if count[stem] == 1 else path for path, stem in stems.items()}


def _with_corners(item: Object, values: Any, size: tuple[int, int]) -> tuple[Object, list[Note]]:
    """An object with the four corners that a record states as shares of the image, in any order."""
    left_out = [Note(reason="corners that are not those of their box, left out")]
    shares = values if isinstance(values, list) else []
    numbers = [float(v) for v in shares if type(v) in (int, float) and abs(v) < GRID]  # no NaN either
    if len(numbers) != 8 or item.bbox is None:
        return item, left_out
    a, b, c, d, e, f, g, h = in_turn([v * size[i % 2] for i, v in enumerate(numbers)])
    placed = rotated((a, b, c, d, e, f, g, h), *size)
    if placed.obb is None or overlap(envelope(placed.obb), item.bbox) < AGREE:
        return item, left_out
    return replace(item, obb=placed.obb), []


SOURCE = Source(
    kind="llava",
    title="import",
    tasks=tuple(CATEGORIES),
    read=read,
    layout=("train.json, or what `annotations` names: LLaVA's JSON, or an export of a release", "<image>"),
    modality="optical",
    license="not stated",
    redistribute=False,
    homepage="https://github.com/haotian-liu/LLaVA",
    citation="""@inproceedings{liu2023llava,
  title     = {Visual Instruction Tuning},
  author    = {Liu, Haotian and Li, Chunyuan and Wu, Qingyang and Lee, Yong Jae},
  booktitle = {Advances in Neural Information Processing Systems},
  year      = {2023}
}""",
    splits={split: (None, None) for split in SPLITS},
    options=OPTIONS,
    imported=True,
)
