"""FloodNet-VQA: questions about 2,348 images that a drone took after a hurricane (EarthVision 2021, track 2).

    FloodNet/Questions/Training Question.json       also `Valid Question.json`, `Test_Question.json`
    FloodNet/Images/Train_Image/<number>.JPG        about 4000x3000; also Valid_Image, Test_Image

    {"0": {"Image_ID": "90001.JPG", "Question": "How many buildings are in this image?", "Ground_Truth": 3,
           "Question_Type": "Simple_Counting"},
     "1": {"Image_ID": "90001.JPG", "Question": "Is the entire road flooded?", "Ground_Truth": "No",
           "Question_Type": "Yes_No"}}

Official counts: 1,448 / 450 / 450 images and 4,511 / 1,415 / 1,429 questions in train, valid, test. Only train has
answers: the paper takes its 4,511 questions, none of which an image has twice. Questions of the other two make no pair
and are counted in a note. A file without answers in the place of the training file is refused, and so is the reverse,
and a file that asks about the images of another split, which have none in common.

Names of the files have a blank or an underscore, the folders `Questions` and `Images` may be missing, and the extension
of an image may be in another case. The running number is a key and no order. Answers are integers (counts) or text,
and are kept as they are written: `Yes` and `No` with a capital, `flooded,non flooded` where both hold for a road. Types
become our categories; `Road_Condition_Recognition` is a fifth that some copies make of Condition_Recognition.

The licence is unclear (challenge data): images are not passed on.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from rs_gpt4v_conversion.errors import SourceError
from rs_gpt4v_conversion.records import Annotation, Flaw, ImageRef, Note, Question
from rs_gpt4v_conversion.sources._folder import Folder
from rs_gpt4v_conversion.sources._images import Images
from rs_gpt4v_conversion.sources._json import describe, load_object
from rs_gpt4v_conversion.sources._names import image_name_flaw
from rs_gpt4v_conversion.sources._source import Options, PaperFigure, Source

CATEGORIES = {
    "Condition_Recognition": "condition",
    "Road_Condition_Recognition": "condition",
    "Yes_No": "yes_no",
    "Simple_Counting": "count",
    "Complex_Counting": "complex_count",
}
"""Our categories by the source's types."""

UNANSWERED = ("Valid", "Test")
"""Official splits whose answers were never published, as their files are called."""


def read(folder: Folder, options: Options) -> Iterator[Annotation | Flaw | Note]:
    """Read the training questions, and count those of the other splits.

    Yields:
        One annotation an image; a flaw for a question that is no text, has no answer or is of an unknown type, or whose
        image has no name; notes for the other splits.

    Raises:
        SourceError: The training file is missing, a file is not of this form, or is another split's.
    """
    yield from _train(folder, _file(folder, "Training"))
    before: dict[str, Path] = {}  # by image: the file that asks about it
    for theirs in UNANSWERED:
        path = _file(folder, theirs)
        if not path.exists():
            yield Note(reason=f"no file of the official split {theirs.lower()!r} in the folder")
            continue
        content = _questions(folder, path)
        answered = next((key for key, record in content.items() if "Ground_Truth" in record), None)
        if answered is not None:
            raise SourceError(
                path, "an answer", "questions without Ground_Truth", record=f"question {answered}",
                do="is it the training file?",
            )  # fmt: skip
        _other_images(content, path, before)
        yield Note(reason=f"question of the official split {theirs.lower()!r}: no answers", count=len(content))


def _other_images(content: dict[str, dict[str, Any]], path: Path, before: dict[str, Path]) -> None:
    """Refuse a file that is a copy of the other split's: it asks about the same images."""
    names = {str(record.get("Image_ID")) for record in content.values()}
    if before.keys() >= names:
        other = before[min(names)].name
        raise SourceError(
            path, f"questions about the images of {other}", "other images", do="is one of the two a copy?"
        )
    before.update(dict.fromkeys(names, path))


def _file(folder: Folder, split: str) -> Path:
    """The questions of a split, or where they should be."""
    names = [f"{split}{gap}Question.json" for gap in (" ", "_")]
    if split == "Test":
        names.reverse()
    places = [home / name for home in (folder.root / "Questions", folder.root) for name in names]
    return next((path for path in places if path.exists()), places[0])


def _questions(folder: Folder, path: Path) -> dict[str, dict[str, Any]]:
    content = load_object(folder, path)
    for key, record in content.items():
        if not isinstance(record, dict):
            raise SourceError(path, describe(record), "an object", record=key, do="is it another dataset's file?")
    if not any("Question_Type" in record for record in content.values()):
        raise SourceError(
            path, "no question", "questions by running number, with Question_Type", do="is it another dataset's file?"
        )
    return content


def _train(folder: Folder, path: Path) -> Iterator[Annotation | Flaw]:
    content = _questions(folder, path)
    if not any("Ground_Truth" in record for record in content.values()):
        raise SourceError(
            path, "no Ground_Truth in any question", "the training questions, which have answers",
            do="is it the file of another split?",
        )  # fmt: skip
    images = Images(folder.root / "Images" / "Train_Image", folder.root / "Train_Image")
    facts: dict[str, list[Question]] = {}
    names: dict[str, str] = {}
    for key, record in content.items():
        made = _fact(key, record)
        if isinstance(made, Flaw):
            yield made
            continue
        name = record["Image_ID"]
        stem = Path(name).stem
        names.setdefault(stem, name)
        facts.setdefault(stem, []).append(made)
    for stem, name in names.items():
        yield Annotation(
            task="vqa", split="train", facts=tuple(facts[stem]),
            image=ImageRef(
                image_id=stem, source_id=name, path=images.path(name), origin=f"floodnet/{stem}",
                image_path=f"FloodNet/Images/Train_Image/{name}",
            ),
        )  # fmt: skip


def _fact(key: str, record: dict[str, Any]) -> Question | Flaw:
    name, text, answer, kind = (record.get(k) for k in ("Image_ID", "Question", "Ground_Truth", "Question_Type"))
    flaw, found = image_name_flaw(name), name
    image_id = key if flaw else Path(str(name)).stem
    if flaw:
        pass
    elif not isinstance(text, str):
        flaw, found = "question is no text", text
    elif not isinstance(kind, str) or kind not in CATEGORIES:
        flaw, found = "unknown question type", kind
    elif answer is None or answer == "":
        flaw, found = "question without answer", text
    elif isinstance(answer, bool) or not isinstance(answer, str | int):
        flaw, found = "answer is no text", answer
    else:
        return Question(question=text.strip(), answer=str(answer).strip(), category=CATEGORIES[kind])
    return Flaw(
        task="vqa", split="train", image_id=image_id, record=f"question {key}", reason=flaw, detail=describe(found)
    )


SOURCE = Source(
    kind="floodnet_vqa",
    title="FloodNet-VQA",
    tasks=("vqa",),
    read=read,
    layout=(
        "Questions/{Training Question,Valid Question,Test_Question}.json",
        "Images/{Train_Image,Valid_Image,Test_Image}/<number>.JPG",
    ),
    modality="optical",
    license="unclear",
    redistribute=False,
    homepage="https://github.com/BinaLab/FloodNet-Challenge-EARTHVISION2021",
    citation="""@article{rahnemoonfar2021floodnet,
  title   = {{FloodNet}: A High Resolution Aerial Imagery Dataset for Post Flood Scene Understanding},
  author  = {Rahnemoonfar, Maryam and Chowdhury, Tashnim and Sarkar, Argho and Varshney, Debvrat and Yari, Masoud
             and Murphy, Robin Roberson},
  journal = {IEEE Access},
  volume  = {9},
  pages   = {89644--89654},
  year    = {2021}
}""",
    splits={"train": (1448, 4511), "validation": (450, 1415), "test": (450, 1429)},
    paper={("vqa", "train"): PaperFigure(images=1448, qa_pairs=4511)},
)
