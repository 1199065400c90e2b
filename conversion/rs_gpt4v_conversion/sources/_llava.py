"""The forms of records in LLaVA-style files: from JSON to turns, with what is wrong said in a few words."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from rs_gpt4v_conversion.records import Note
from rs_gpt4v_conversion.sources._json import describe

TAG = "<image>"

CATEGORIES: dict[str, tuple[str, ...]] = {
    "captioning": ("caption",),
    "vqa": (
        "presence", "count", "comp", "rural_urban", "area", "land_cover", "condition", "yes_no", "complex_count",
        "theme", "position", "other",
    ),
    "grounding": ("grounding",),
    "region_captioning": ("region",),
    "detailed_description": ("detail",),
    "conversation": ("conv", "complex"),
    "task_planning": ("planning",),
}  # fmt: skip
"""The contract's, repeated so that `plan` need not import it (tested to be equal)."""

ALIASES = {
    "object existence": "presence", "object quantity": "count", "object position": "position",
    "rural or urban": "rural_urban", "scene type": "theme",
}  # fmt: skip
"""Our categories by those that other files state."""

_TASK_TAGS = re.compile(r"\s*(?:\[[A-Za-z][\w.]*\]\s*)+")

_ESCAPED_END = re.compile(r"\s*\\n\s*")

_PHRASE = re.compile(r"</?p>")


@dataclass(frozen=True, slots=True, kw_only=True)
class Parsed:
    """One record: its image as it names it, and its turns."""

    image: Any
    dialogues: tuple[tuple[tuple[str, str], ...], ...]  # of (question, answer); questions without the image tag
    category: str = ""  # as stated
    kind: str = ""  # of the object that it speaks of, as stated
    corners: Any = None  # of that object, as stated
    notes: tuple[Note, ...] = ()
    unanswered: int = 0  # questions at the end that have no answer


class RecordFlaw(Exception):
    """A record that is none of its form: its pairs are rejected.

    Args:
        reason: A few words, the same for all records with this flaw.
        detail: What was found.
        pairs: How many are lost.
    """

    def __init__(self, reason: str, detail: str = "", pairs: int = 1) -> None:
        super().__init__(reason)
        self.reason, self.detail, self.pairs = reason, detail, max(1, pairs)


def form_of(record: Mapping[str, Any]) -> str:
    """The form of a record by its keys, or an empty string."""
    if "conversations" in record:
        return "conversations"
    if {"text", "answer"} <= record.keys():
        return "lines"
    if {"question", "ground_truth"} <= record.keys():
        return "eval"
    if "question" in record and ({"annotation", "gt_bbox", "caption0"} & record.keys()):
        return "results"
    return ""


def parse(record: Mapping[str, Any], form: str) -> Parsed:
    """Read a record of one form.

    Raises:
        RecordFlaw: It is not of that form.
    """
    return {"conversations": _conversations, "lines": _line, "eval": _eval, "results": _result}[form](record)


def category_of(stated: str, task: str) -> str:
    """One of the contract's categories of a task."""
    name = ALIASES.get(stated.strip().lower(), stated.strip().lower())
    return name if name in CATEGORIES[task] else "other" if task == "vqa" else CATEGORIES[task][0]


def task_tag(text: str) -> str:
    """The first tag such as `[refer]` at the head of a question, without brackets, or an empty string."""
    found = _TASK_TAGS.match(text.replace(TAG, "").replace("\\n", " "))
    return found[0].split("]")[0].strip().lstrip("[").strip() if found else ""


def plain(text: str) -> str:
    """A text without the tags at its head and around its phrases."""
    tags = _TASK_TAGS.match(text)
    return _PHRASE.sub("", text[tags.end() :] if tags else text).strip()


def _conversations(record: Mapping[str, Any]) -> Parsed:
    turns = record.get("conversations")
    if not isinstance(turns, list) or not turns:
        raise RecordFlaw("record without a conversation", describe(turns))
    speakers = [turn.get("from") if isinstance(turn, dict) else None for turn in turns]
    pairs = max(speakers.count("human"), speakers.count("gpt"))
    if speakers[0] == "gpt":
        raise RecordFlaw("conversation that begins with the answer", pairs=pairs)
    if any(speaker != ("human", "gpt")[i % 2] for i, speaker in enumerate(speakers)):
        raise RecordFlaw("turns are not human and gpt in turn", ", ".join(map(str, speakers))[:200], pairs)
    texts = [turn.get("value") for turn in turns]
    if not all(isinstance(text, str) for text in texts):
        raise RecordFlaw("turn is no text", pairs=pairs)
    found = [str(text) for text in texts]
    notes = _tag_notes(found, pairs)
    found[0] = found[0].replace(TAG, "").strip()
    return Parsed(
        image=record.get("image"), dialogues=(tuple(zip(found[0::2], found[1::2], strict=False)),),
        category=_stated(record), notes=notes, unanswered=len(found) % 2,
    )  # fmt: skip


def _tag_notes(texts: list[str], pairs: int) -> tuple[Note, ...]:
    """What is odd about the place of the image tag.

    Raises:
        RecordFlaw: There is more than one, or it is not in the first question.
    """
    count = sum(text.count(TAG) for text in texts)
    if count > 1:
        raise RecordFlaw("several image tags", f"{count} in {len(texts)} turns", pairs)
    if count == 0:
        return (Note(reason="conversation without an image tag, taken to be about its image"),)
    if TAG not in texts[0]:
        raise RecordFlaw("image tag after the first question", pairs=pairs)
    if not texts[0].lstrip().startswith(TAG):
        return (Note(reason="image tag within the first question, put at its head"),)
    return ()


def _line(record: Mapping[str, Any]) -> Parsed:
    stated = record.get("answer")
    stated = stated if isinstance(stated, list) else [stated]
    answers = [_whole(answer) for answer in stated]
    question = _bare(record, "text")
    if not answers or not all(isinstance(answer, str) for answer in answers):
        raise RecordFlaw("answer is no text", describe(record.get("answer")))
    return Parsed(
        image=record.get("image"), dialogues=tuple(((question, answer),) for answer in answers),
        category=_stated(record),
        notes=() if answers == stated else (Note(reason="answer that is a number, taken as text"),),
    )  # fmt: skip


def _eval(record: Mapping[str, Any]) -> Parsed:
    answer = _whole(record.get("ground_truth"))
    if not isinstance(answer, str):
        raise RecordFlaw("answer is no text", describe(answer))
    kind = record.get("obj_cls")
    return Parsed(
        image=record.get("image_id", record.get("image")), dialogues=(((_bare(record, "question"), answer),),),
        category=_stated(record), kind=kind if isinstance(kind, str) else "", corners=record.get("obj_corner"),
    )  # fmt: skip


def _result(record: Mapping[str, Any]) -> Parsed:
    """A line of a model's results: `answer` is what the model said, never the truth."""
    question = _ESCAPED_END.sub("\n", _bare(record, "question")).strip()
    if "caption0" in record:
        keys = sorted((k for k in record if re.fullmatch(r"caption\d+", k)), key=lambda k: int(k[7:]))
        answers = [record[key] for key in keys]
    else:
        answers = [record.get("annotation", _boxes(record.get("gt_bbox")))]
    answers = [_whole(answer) for answer in answers]
    if not all(isinstance(answer, str) for answer in answers):
        raise RecordFlaw("answer is no text", describe(answers))
    return Parsed(
        image=record.get("image", record.get("image_id")), category=_stated(record),
        dialogues=tuple(((question, answer),) for answer in answers),
    )  # fmt: skip


def _whole(answer: Any) -> Any:
    """An answer, as text where it is a whole number: counts are written either way."""
    return str(answer) if isinstance(answer, int) and not isinstance(answer, bool) else answer


def _boxes(value: Any) -> Any:
    """Boxes that are lists of numbers, as the text in which others have them."""
    if isinstance(value, list) and value:
        value = value if all(isinstance(v, list) for v in value) else [value]
        return "<box>[" + ", ".join(f"[{', '.join(map(str, box))}]" for box in value) + "]</box>"
    return value


def _bare(record: Mapping[str, Any], key: str) -> str:
    """A question without its image tag."""
    text = record.get(key)
    if not isinstance(text, str):
        raise RecordFlaw("question is no text", describe(text))
    if text.count(TAG) > 1:
        raise RecordFlaw("several image tags", f"{text.count(TAG)} in a question")
    return text.replace(TAG, "").strip()


def _stated(record: Mapping[str, Any]) -> str:
    stated = record.get("category", record.get("type"))
    return stated if isinstance(stated, str) else ""
