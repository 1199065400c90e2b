"""The three files a split of the RSVQA family: questions, answers, images.

    <prefix>_split_<split>_questions.json  {"questions": [{"id": 9, "img_id": 3, "type": "count", "active": true,
                                            "question": "How many roads are there?", "answers_ids": [9], ...}]}
    <prefix>_split_<split>_answers.json    {"answers": [{"id": 9, "question_id": 9, "answer": "4", "active": true}]}
    <prefix>_split_<split>_images.json     {"images": [{"id": 3, "res_x": "10m", "active": true, ...}]}

The trap: every file also lists a placeholder {"id": n, "active": false} for each item of the other splits, without any
other key. In trimmed copies the position of an item is not its id, so everything is joined by id.

The files are read record by record, questions and answers side by side: where both are in one order, as the official
ones are, no answer waits longer than it takes to read its question. What is held are the questions, image by image.

What is decided about odd files:

- Answers to none of the questions: one of the two files is another split's, and the source is refused. So is a file of
  questions without an active one, and one that asks about no image but those of another split.
- An image that two splits ask about is kept in the later one of (train, validation, test, ...): pictures of a test are
  not to be trained on. Its pairs in the other split are rejects. That two images files have it as active, while one
  split asks about it, is a note.
- A question about an image that its own images file does not list as active is kept (trimmed copies have such), with a
  note: where the image is and how large its pixels are may then be unknown.
- A record that does not say whether it is active is taken for one that is.
- An image's file may have its extension in another case; where there is no TIFF of it, a twin in PNG is taken, which
  has the same pixels and no georeference.
- An id stands for one question a split; what repeats it is a reject. A question with several answers is several pairs.
- An answer that is an integer becomes text, with a note. An answer without a question is a note. A question without an
  answer, of an unknown type, without text or without the number of an image is a reject.
"""

import re
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rs_gpt4v_conversion.errors import SourceError
from rs_gpt4v_conversion.records import Annotation, Flaw, ImageRef, Note, Question, Stretch
from rs_gpt4v_conversion.sources._folder import Folder
from rs_gpt4v_conversion.sources._images import Images
from rs_gpt4v_conversion.sources._json import describe
from rs_gpt4v_conversion.sources._stream import iter_records

CITATION = """@article{lobry2020rsvqa,
  title   = {{RSVQA}: Visual Question Answering for Remote Sensing Data},
  author  = {Lobry, Sylvain and Marcos, Diego and Murray, Jesse and Tuia, Devis},
  journal = {IEEE Transactions on Geoscience and Remote Sensing},
  volume  = {58},
  number  = {12},
  pages   = {8555--8566},
  year    = {2020}
}"""
"""The paper of the whole family."""

PARTS = ("questions", "answers", "images")


@dataclass(frozen=True, slots=True, kw_only=True)
class Layout:
    """What tells the sets of the family apart."""

    prefix: str  # of the files' names (`LR`, `USGS`)
    splits: Mapping[str, str]  # ours by theirs
    types: Mapping[str, str]  # our category by the type of a question
    images: Path  # the folder of the `<id>.tif`
    image_path: str  # the folder under which the paper's files name the images
    origin: Callable[[int, str], str]  # from an image's number and original name
    gsd: float | None = None  # where an images file does not say, metres per pixel
    stretch: Callable[[Path], Stretch | None] = lambda _: None  # from an image's file

    def paths(self, root: Path, theirs: str) -> list[Path]:
        """The files of questions, answers and images of a split."""
        return [root / f"{self.prefix}_split_{theirs}_{part}.json" for part in PARTS]


def read_rsvqa(folder: Folder, layout: Layout) -> Iterator[Annotation | Flaw | Note]:
    """Read all splits that are in the folder, the last one first.

    Args:
        folder: The source's folder, which holds the JSON files.
        layout: Which set it is.

    Yields:
        One annotation an image, and what is wrong with other records; see above.

    Raises:
        SourceError: No split is there, one of a split's three files is missing, or a file is not what it should be.
    """
    present = {}
    for theirs in layout.splits:
        paths = layout.paths(folder.root, theirs)
        if any(path.exists() for path in paths):
            present[theirs] = paths
        else:
            yield Note(reason=f"no files of the official split {theirs!r} in the folder")
    if not present:
        expected = f"{layout.prefix}_split_<split>_questions.json and its answers and images"
        raise SourceError(folder.root, "none of them", f"{expected} for a split of {', '.join(layout.splits)}")
    taken: Taken = {}
    active: set[int] = set()
    for theirs, paths in reversed(present.items()):
        pairs = Pairs(layout.splits[theirs], paths[0], layout.types, taken)
        yield from _Split(folder, layout, paths, pairs, active).read()


Taken = dict[int | str, Path]
"""By image: the file of its questions, of splits that were read."""


class Pairs:
    """The pairs of one split under way, grouped by image.

    Args:
        split: Its name in our words.
        path: The file of its questions.
        types: Our category by the type of a question.
        taken: Images of the splits that were read before: none of them may be in this one.

    Attributes:
        asked: Questions so far, however they are.
        seen: Ids of questions.
    """

    def __init__(self, split: str, path: Path, types: Mapping[str, str], taken: Taken) -> None:
        self.split, self.path, self.types, self.taken = split, path, types, taken
        self.asked, self.seen = 0, Numbers()
        self._elsewhere: Counter[Path] = Counter()
        self._facts: dict[int | str, list[Question]] = {}
        # templates and answers repeat, so equal texts and equal facts are one object
        self._texts: dict[str, str] = {}
        self._made: dict[tuple[str, str, str], Question] = {}

    def enter(self, image: int | str, record: dict[str, Any], name: str, answers: list[Any]) -> Iterator[Flaw | Note]:
        """Enter a question and its answers, and say what is wrong with them.

        Args:
            image: The image's number or name.
            record: Of the question.
            name: Of the record, for rejects.
            answers: As they are in the file.
        """
        if image in self.taken:
            self._elsewhere[self.taken[image]] += 1
        for answer in answers:
            flaw, found = self._what_is_wrong(record, answer)
            if not flaw and image in self.taken:
                flaw, found = "image of another split", self.taken[image].name
            if flaw:
                yield self.flaw(str(image), name, flaw, found)
                continue
            if type(answer) is int:
                yield Note(reason="answer that is a number, made text")
            fact = self._fact(record["question"].strip(), str(answer).strip(), self.types[record["type"]])
            self._facts.setdefault(image, []).append(fact)

    def _fact(self, question: str, answer: str, category: str) -> Question:
        fact = self._made.get((question, answer, category))
        if fact is None:
            question = self._texts.setdefault(question, question)
            answer = self._texts.setdefault(answer, answer)
            fact = Question(question=question, answer=answer, category=category)
            self._made[question, answer, category] = fact
        return fact

    def flaw(self, image: str, record: str, reason: str, found: Any) -> Flaw:
        """A rejected pair of this split."""
        return Flaw(
            task="vqa", split=self.split, image_id=image, record=record, reason=reason, detail=describe(found),
        )  # fmt: skip

    def check(self) -> None:
        """Refuse a file without questions, and one that is a copy of another split's."""
        if not self.asked:
            raise SourceError(self.path, "no active question", "those of its split")
        if self._elsewhere.total() == self.asked:
            found = "questions about no image but those of " + " and ".join(sorted(p.name for p in self._elsewhere))
            raise SourceError(self.path, found, "other images", do="is one of the two another split's file?")

    def images(self) -> list[int | str]:
        """The images asked about, in the order of their first questions."""
        return list(self._facts)

    def annotations(self, ref: Callable[[Any], ImageRef]) -> Iterator[Annotation]:
        """All that was entered, image by image, each let go when it was given.

        Args:
            ref: Gives what is known of an image.
        """
        self._made.clear()
        self._texts.clear()
        for image in self.images():
            self.taken[image] = self.path
            facts = tuple(self._facts.pop(image))
            yield Annotation(task="vqa", split=self.split, image=ref(image), facts=facts)

    def _what_is_wrong(self, record: dict[str, Any], answer: Any) -> tuple[str, Any]:
        """The first flaw of a question and one of its answers, and what was found; or an empty string."""
        text, kind = record.get("question"), record.get("type")
        if type(text) is not str:
            return "question is no text", text
        if type(kind) is not str or kind not in self.types:
            return "unknown question type", kind
        if answer is None or answer == "":
            return "question without answer", text
        if type(answer) is not str and type(answer) is not int:
            return "answer is no text", answer
        return "", None


@dataclass(frozen=True, slots=True)
class _Listed:
    """What an images file says of an active image."""

    name: str
    gsd: float | None


class _Split:
    """One split: questions joined with their answers."""

    def __init__(self, folder: Folder, layout: Layout, paths: list[Path], pairs: Pairs, active: set[int]) -> None:
        self.folder, self.layout, self.pairs = folder, layout, pairs
        self.questions, self.answers, self.images = paths
        self.active_before = active  # images of the splits that were read before
        self.files = Images(layout.images)

    def read(self) -> Iterator[Annotation | Flaw | Note]:
        listed: dict[int, _Listed] = {}
        yield from self._listed(listed)
        answers = _Answers(self._active(self.answers, "answers"))
        yield from self._joined(answers)
        yield from self._leftover(answers)
        unlisted = sum(image not in listed for image in self.pairs.images())
        if unlisted:
            yield Note(reason="image that its split's file of images does not list as active", count=unlisted)
        yield from self.pairs.annotations(lambda image: self._image(image, listed.get(image)))

    def _active(self, path: Path, key: str) -> Iterator[tuple[int, dict[str, Any]]]:
        return ((i, record) for i, record in iter_records(self.folder, path, key) if record.get("active", True))

    def _listed(self, listed: dict[int, _Listed]) -> Iterator[Note]:
        odd = 0
        for _, record in self._active(self.images, "images"):
            number = record.get("id")
            if type(number) is int:
                metres = re.fullmatch(r"(\d*\.?\d+) ?m", str(record.get("res_x", "")))
                gsd = float(metres[1]) if metres else self.layout.gsd
                listed[number] = _Listed(str(record.get("original_name", "")), gsd)
            else:
                odd += 1
        twice = len(self.active_before & listed.keys())
        self.active_before.update(listed)
        if twice:
            yield Note(reason="image that two splits list as active", count=twice)
        if odd:
            yield Note(reason="entry of a file of images without a whole id, left out", count=odd)

    def _joined(self, answers: "_Answers") -> Iterator[Flaw | Note]:
        """Enter every question with its answers."""
        pairs, answered = self.pairs, 0
        for i, record in self._active(self.questions, "questions"):
            pairs.asked += 1
            number, image = record.get("id"), record.get("img_id")
            if type(number) is not int or type(image) is not int:
                missing = "id" if type(number) is not int else "img_id"
                where = f"questions[{i}]"
                yield pairs.flaw(where, where, f"question without a whole {missing}", record.get(missing))
            elif not pairs.seen.add(number):
                yield pairs.flaw(str(image), f"questions[{i}]", "question id listed twice", number)
            else:
                theirs = record.get("answers_ids")
                found = answers.of(number, len(theirs) if isinstance(theirs, list) and theirs else None)
                answered += bool(found)
                yield from pairs.enter(image, record, f"question {number}", found or [None])
        pairs.check()
        if not answered:
            none = f"answers to none of the {pairs.asked:,} active questions of {self.questions.name}"
            raise SourceError(self.answers, none, "one to each", do="is one of the two another split's file?")

    def _leftover(self, answers: "_Answers") -> Iterator[Flaw | Note]:
        """Enter answers that came when their question had gone by, and count those that have none."""
        late = answers.rest()
        if any(number in self.pairs.seen for number in late):
            for _, record in self._active(self.questions, "questions"):
                number, image = record.get("id"), record.get("img_id")
                if type(number) is int and type(image) is int and number in late:
                    yield from self.pairs.enter(image, record, f"question {number}", late.pop(number))
        alone = sum(map(len, late.values()))
        if alone:
            yield Note(reason="answer without a question", count=alone)

    def _image(self, number: int, listed: _Listed | None) -> ImageRef:
        name, layout = f"{number}.tif", self.layout
        path = self.files.path(str(number), ".tif")
        return ImageRef(
            image_id=str(number), source_id=name, path=path, image_path=f"{layout.image_path}/{name}",
            gsd=listed.gsd if listed else layout.gsd, origin=layout.origin(number, listed.name if listed else ""),
            stretch=layout.stretch(path),
        )  # fmt: skip


class _Answers:
    """The answers of a split, by question: read as far as they are asked for, those passed over kept."""

    def __init__(self, records: Iterator[tuple[int, dict[str, Any]]]) -> None:
        self._records = records
        self._waiting: dict[Any, list[Any]] = {}

    def of(self, question: int, wanted: int | None) -> list[Any]:
        """Answers to a question, in the file's order, and no longer kept.

        Args:
            question: Its id.
            wanted: How many it says that it has; None: all there are.
        """
        found = self._waiting.pop(question, [])
        while wanted is None or len(found) < wanted:
            following = next(self._records, None)
            if following is None:
                break
            theirs, answer = following[1].get("question_id"), following[1].get("answer")
            if theirs == question:
                found.append(answer)
            else:
                self._keep(theirs, answer)
        return found

    def rest(self) -> dict[Any, list[Any]]:
        """All answers that were not asked for."""
        for _, record in self._records:
            self._keep(record.get("question_id"), record.get("answer"))
        return self._waiting

    def _keep(self, question: Any, answer: Any) -> None:
        number = question if type(question) is int else None  # None: of no question
        self._waiting.setdefault(number, []).append(answer)


class Numbers:
    """A set of numbers that are nearly all small, as ids are: a byte each, where a set takes sixty."""

    def __init__(self) -> None:
        self._small = bytearray()
        self._other: set[int] = set()

    def __contains__(self, number: object) -> bool:
        if not isinstance(number, int):
            return False
        return bool(self._small[number]) if 0 <= number < len(self._small) else number in self._other

    def add(self, number: int) -> bool:
        """Enter a number and say whether it is new."""
        if number in self:
            return False
        if not 0 <= number < _SMALL:
            self._other.add(number)
            return True
        if number >= len(self._small):
            self._small.extend(bytes(min(2 * number + 1024, _SMALL) - len(self._small)))
        self._small[number] = 1
        return True


_SMALL = 1 << 26
"""Numbers below this get a byte: 64 MB at most."""
