"""A row of a release as LLaVA's training records, or as the lines of a test file."""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from rs_gpt4v_conversion.rows import TAG

CATEGORIES = {"conv": "conv_complex", "complex": "conv_complex"}
"""The paper's name of a category, where it is another."""

ROW_FACTS = (
    "id", "task", "source", "modality", "width", "height", "gsd", "image_path", "parent", "window", "scale", "crs",
    "bounds", "rendering", "image_sha256", "source_sha256", "source_id", "license", "objects",
)  # fmt: skip
"""Columns of a row that its line among the sidecar's rows holds as they are."""

COLUMNS = (*ROW_FACTS, "conversations", "pairs")


@dataclass(frozen=True, slots=True, kw_only=True)
class Said:
    """One pair of a row, with its place."""

    position: int  # among the row's pairs
    turn: int  # within its dialogue
    question: str  # without the image tag
    answer: str
    pair: dict[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Item:
    """One record or line, and its line of the sidecar."""

    content: dict[str, Any]
    sidecar: dict[str, Any]


def dump(value: Any) -> str:
    """JSON as the paper's files have it: Python's defaults, text escaped to ASCII."""
    return json.dumps(value)


def dialogues(row: dict[str, Any]) -> list[list[Said]]:
    """The pairs of a row by dialogue, in order."""
    turns = row["conversations"]
    found: dict[int, list[Said]] = {}
    for position, pair in enumerate(row["pairs"]):
        group = found.setdefault(pair["dialogue"], [])
        group.append(
            Said(
                position=position, turn=len(group), question=turns[2 * position]["value"].removeprefix(TAG),
                answer=turns[2 * position + 1]["value"], pair=pair,
            )
        )  # fmt: skip
    return list(found.values())


def train_records(row: dict[str, Any]) -> Iterator[Item]:
    """A record a dialogue: the turns of one record are trained as one conversation, so independent ones stay apart."""
    for number, dialogue in enumerate(dialogues(row)):
        conversations = []
        for said in dialogue:
            question = said.question if said.turn else TAG + said.question
            conversations.append({"from": "human", "value": question})
            conversations.append({"from": "gpt", "value": said.answer})
        content = {"id": f"{row['id']}#{number}", "image": row["image_path"], "conversations": conversations}
        yield Item(content=content, sidecar=_sidecar(row, dialogue))


def test_lines(row: dict[str, Any]) -> Iterator[Item]:
    """A line a question, without its number: the turns of a dialogue one by one, the captions of an image together."""
    said = [one for dialogue in dialogues(row) for one in dialogue]
    captions = _captions(row) if row["task"] == "captioning" else []
    if captions:
        references: dict[str, Said] = {}
        for one in captions:
            references.setdefault(one.answer, one)
        yield _line(row, list(references.values()), list(references))
    alone = {one.position for one in captions}
    for one in said:
        if one.position not in alone:
            yield _line(row, [one], one.answer)


def _captions(row: dict[str, Any]) -> list[Said]:
    """The captions that are references of one question: all that stand alone."""
    return [dialogue[0] for dialogue in dialogues(row) if len(dialogue) == 1]


def _line(row: dict[str, Any], said: Sequence[Said], answer: str | list[str]) -> Item:
    category = said[0].pair["category"]
    content = {
        "image": row["image_path"], "text": said[0].question, "answer": answer,
        "category": CATEGORIES.get(category, category),
    }  # fmt: skip
    return Item(content=content, sidecar=_sidecar(row, said))


def _sidecar(row: dict[str, Any], said: Sequence[Said]) -> dict[str, Any]:
    """What the record or line itself does not say."""
    return {
        "row": row["id"],
        "width": row["width"],
        "height": row["height"],
        "pairs": [_pair(row, one, said[0]) for one in said],
    }


def _pair(row: dict[str, Any], said: Said, first: Said) -> dict[str, Any]:
    pair = {"position": said.position, "dialogue": said.pair["dialogue"], "turn": said.turn}
    pair |= {key: said.pair[key] for key in ("category", "template", "generator", "review", "objects")}
    things = [row["objects"][i] for i in said.pair["objects"]]
    if things and row["task"] != "vqa":  # here as well, so that a scorer needs no other file
        pair["boxes"] = [_short(item["bbox"]) for item in things]
        pair["corners"] = [_short(item["obb"]) for item in things]
    if said is not first and not said.turn and said.question != first.question:
        pair["question"] = said.question  # of a reference that answers other words than the line's
    return pair


def row_facts(row: dict[str, Any]) -> dict[str, Any]:
    """The line of a row: all of its columns but image and text."""
    facts = {key: row[key] for key in ROW_FACTS}
    facts["gsd"], facts["scale"] = _short_number(row["gsd"]), _short_number(row["scale"])
    facts["objects"] = [
        {**item, "bbox": _short(item["bbox"]), "obb": _short(item["obb"]), "iof": _short_number(item["iof"])}
        for item in row["objects"]
    ]
    return facts


def _short(numbers: Sequence[float] | None) -> list[float]:
    """Numbers that were of 32 bits, in the nine digits that tell all of those apart."""
    return [float(f"{n:.9g}") for n in numbers or ()]


def _short_number(number: float | None) -> float | None:
    return None if number is None else _short([number])[0]
