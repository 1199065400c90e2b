"""The three files a split of the RSVQA family: questions, answers, images.

    <prefix>_split_<split>_questions.json  {"questions": [{"id": 9, "img_id": 3, "type": "count", "active": true,
                                            "question": "How many roads are there?", "answers_ids": [9], ...}]}
    <prefix>_split_<split>_answers.json    {"answers": [{"id": 9, "question_id": 9, "answer": "4", "active": true}]}
    <prefix>_split_<split>_images.json     {"images": [{"id": 3, "res_x": "10m", "active": true, ...}]}

The trap: every file also lists a placeholder {"id": n, "active": false} for each item of the other splits, without any
other key. In trimmed copies the position of an item is not its id, so everything is joined by id.
"""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from rs_gpt4v_conversion.errors import SourceError
from rs_gpt4v_conversion.records import Annotation, Flaw, ImageRef, Note, Question
from rs_gpt4v_conversion.sources._folder import Folder
from rs_gpt4v_conversion.sources._json import describe, load_object, records, typed

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


def read_rsvqa(
    folder: Folder,
    *,
    prefix: str,
    splits: dict[str, str],
    types: tuple[str, ...],
    images: Path,
    image_path: str,
) -> Iterator[Annotation | Flaw | Note]:
    """Read all splits that are in the folder.

    Args:
        folder: The source's folder, which holds the JSON files.
        prefix: What their names begin with (`LR`, `USGS`).
        splits: Our splits by theirs.
        types: Known question types, which are our categories.
        images: The folder of the `<id>.tif`.
        image_path: The folder under which the paper's files name the images.

    Yields:
        One annotation an image; a question without an answer, of an unknown type or whose text is none is a flaw; a
        split that is not in the folder and answers without a question are notes.

    Raises:
        SourceError: No split is there, one of a split's three files is missing, or a file is not of this form.
    """
    found = False
    for theirs, split in splits.items():
        paths = [folder.root / f"{prefix}_split_{theirs}_{part}.json" for part in ("questions", "answers", "images")]
        if not any(path.exists() for path in paths):
            yield Note(reason=f"no files of the official split {theirs!r} in the folder")
            continue
        found = True
        yield from _Split(folder, split, paths, types, images, image_path).read()
    if not found:
        expected = f"{prefix}_split_<split>_questions.json and its answers and images"
        raise SourceError(folder.root, "none of them", f"{expected} for a split of {', '.join(splits)}")


def _active(folder: Folder, path: Path, key: str) -> Iterator[tuple[str, dict[str, Any]]]:
    for i, record in enumerate(records(load_object(folder, path), key, path)):
        if record.get("active"):
            yield f"{key}[{i}]", record


class _Split:
    """One split: questions joined with their answers, grouped by image."""

    def __init__(
        self,
        folder: Folder,
        split: str,
        paths: list[Path],
        types: tuple[str, ...],
        images: Path,
        image_path: str,
    ) -> None:
        self.folder = folder
        self.split, self.types, self.images, self.image_path = split, types, images, image_path
        self.questions, self.answers, self.listed = paths

    def read(self) -> Iterator[Annotation | Flaw | Note]:
        answers = self._answers()
        gsd = dict(self._gsd())
        facts: dict[int, list[Question]] = {}
        for where, record in _active(self.folder, self.questions, "questions"):
            image = typed(record, "img_id", int, self.questions, where)
            number = typed(record, "id", int, self.questions, where)
            made = list(self._facts(record, answers.pop(number, []), image))
            facts.setdefault(image, []).extend(f for f in made if isinstance(f, Question))
            yield from (f for f in made if isinstance(f, Flaw))
        for image, questions in facts.items():
            if questions:
                yield Annotation(
                    task="vqa", split=self.split, image=self._image(image, gsd.get(image)),
                    facts=tuple(questions),
                )  # fmt: skip
        if answers:
            yield Note(reason="answer without a question", count=len(answers))

    def _answers(self) -> dict[int, list[Any]]:
        answers: dict[int, list[Any]] = {}
        for where, record in _active(self.folder, self.answers, "answers"):
            question = typed(record, "question_id", int, self.answers, where)
            answers.setdefault(question, []).append(record.get("answer"))
        return answers

    def _gsd(self) -> Iterator[tuple[int, float]]:
        for where, record in _active(self.folder, self.listed, "images"):
            number = typed(record, "id", int, self.listed, where)
            metres = re.fullmatch(r"(\d*\.?\d+) ?m", str(record.get("res_x", "")))
            if metres:
                yield number, float(metres[1])

    def _facts(self, record: dict[str, Any], answers: list[Any], image: int) -> Iterator[Question | Flaw]:
        text, kind = record.get("question"), record.get("type")
        for answer in answers or [None]:
            flaw, found = "", text
            if not isinstance(text, str):
                flaw = "question is no text"
            elif kind not in self.types:
                flaw, found = "unknown question type", kind
            elif answer is None or answer == "":
                flaw = "question without answer"
            elif isinstance(answer, bool) or not isinstance(answer, str | int):
                flaw, found = "answer is no text", answer
            if flaw:
                yield Flaw(
                    task="vqa", split=self.split, image_id=str(image),
                    record=f"question {record['id']}", reason=flaw, detail=describe(found),
                )  # fmt: skip
            else:
                yield Question(question=str(text).strip(), answer=str(answer).strip(), category=str(kind))

    def _image(self, number: int, gsd: float | None) -> ImageRef:
        name = f"{number}.tif"
        return ImageRef(
            image_id=str(number), source_id=name, path=self.images / name,
            image_path=f"{self.image_path}/{name}", gsd=gsd,
            origin=f"{self.image_path.split('/')[0].lower()}/{number}",
        )  # fmt: skip
