"""A request becomes the words of an answer: plausible, different from image to image, and true to the facts in it.

Nothing is seen: numbers, places and relations are those of the question, colours and states are drawn by hash. The same
body always gets the same answer.
"""

import json
from collections.abc import Callable
from typing import Any

from rs_gpt4v_conversion.gpt4v.listing import MOST_LISTED
from rs_gpt4v_conversion.gpt4v.records import Stage
from rs_gpt4v_conversion.gpt4v.stub.asking import Ask
from rs_gpt4v_conversion.gpt4v.stub.noting import read_notes, sentences
from rs_gpt4v_conversion.gpt4v.stub.phrases import exist
from rs_gpt4v_conversion.gpt4v.stub.seeing import detail, local, scene
from rs_gpt4v_conversion.gpt4v.stub.talking import conversation
from rs_gpt4v_conversion.gpt4v.stub.thinking import planning, reasoning
from rs_gpt4v_conversion.gpt4v.stub.viewing import View
from rs_gpt4v_conversion.templates.words import plural

_STAGES: dict[Stage, Callable[[View], dict[str, Any]]] = {
    "local": local,
    "global": scene,
    "detail": detail,
    "conversation": conversation,
    "reasoning": reasoning,
    "planning": planning,
}

_NO_NUMBER = MOST_LISTED + 1
"""That no object of a question's list has."""


def answer(ask: Ask, *, wrong: bool = False) -> str:
    """The text of an answer: JSON in the form of the request's stage, prose where it has none.

    Args:
        ask: The request.
        wrong: Whether the answer has a number that what the request tells refutes; where that tells no number, one that
            the answer itself refutes.
    """
    view = View(read_notes(ask.user), ask.digest)
    if ask.stage is None:
        text: str = detail(view)["description"]
        return f"{text} {_untrue(view)}" if wrong else text
    value = _STAGES[ask.stage](view)
    if wrong:
        _contradict(ask.stage, value, view)
    return json.dumps(value, ensure_ascii=False)


def _contradict(stage: Stage, value: dict[str, Any], view: View) -> None:
    """Make an answer wrong, and keep it well formed."""
    untrue = _untrue(view)
    if stage == "local":
        for item in value["objects"][:1]:
            item["box"] = _elsewhere(item["box"])
    elif stage == "global":
        for item in value["counts"][:1]:
            item["count"] = 3 * item["count"] + 4
        value["summary"] += f" {untrue}"
    elif stage == "detail":
        value["description"] += f" {untrue}"
    elif stage == "conversation":
        asks = (
            f"How many {plural(_named(view))} are there?",
            f"And how many {plural(_named(view))} are that in total?",
        )
        told = zip(asks, sentences(untrue), strict=False)  # one sentence, or two that disagree
        added = [{"question": ask, "answer": answer, "objects": []} for ask, answer in told]
        value["turns"] = [*value["turns"][: 8 - len(added)], *added]
    elif stage == "reasoning":
        value["items"][-1]["answer"] = f"{untrue} {value['items'][-1]['answer']}"
        value["items"][-1]["objects"].append(_NO_NUMBER)
    else:
        value["steps"][0]["objects"].append(_NO_NUMBER)  # a plan states nothing that a number could refute


def _untrue(view: View) -> str:
    """A sentence that the facts refute; two that refute one another where there are no facts."""
    notes, named = view.notes, _named(view)
    if named in notes.exact:
        return exist(named, 3 * notes.numbers[named] + 4, exact=True)
    if named in notes.absent:
        return exist(named, 4, exact=True)
    return f"{exist(named, 3, exact=True)} {exist(named, 8, exact=True)}"


def _named(view: View) -> str:
    certain = [c for c in view.categories if c in view.notes.exact]
    return (*certain, *view.notes.absent, *view.categories, "car")[0]


def _elsewhere(box: list[float]) -> list[float]:
    """A box of the same form where the object is not, inside the image."""
    x, y = (0.02 if min(box[0::2]) > 0.5 else 0.9), (0.02 if min(box[1::2]) > 0.5 else 0.9)
    far = [x, y, x + 0.05, y, x + 0.05, y + 0.05, x, y + 0.05]
    return far if len(box) == 8 else [x, y, x + 0.05, y + 0.05]
