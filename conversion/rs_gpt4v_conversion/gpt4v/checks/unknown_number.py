"""Whether the numbers by which an answer names objects are those of the question's list."""

from collections.abc import Sequence

from rs_gpt4v_conversion.gpt4v.checks._check import Case, Check, Notes
from rs_gpt4v_conversion.gpt4v.schemas import ConversationAnswer, LocalAnswer, PlanningAnswer, ReasoningAnswer


def check(case: Case, notes: Notes) -> None:
    """Hold every number against the length of the list."""
    answer, most = case.answer, len(case.listed)
    if isinstance(answer, LocalAnswer):
        for item in answer.objects:
            _hold("object", item.number, (item.number,), most, notes)
            if item.relations:
                _hold("relation of object", item.number, [relation.to for relation in item.relations], most, notes)
        _twice(answer, notes)
    elif isinstance(answer, ConversationAnswer):
        for i, turn in enumerate(answer.turns, 1):
            _hold("turn", i, turn.objects, most, notes)
    elif isinstance(answer, ReasoningAnswer):
        for i, question in enumerate(answer.items, 1):
            _hold("item", i, question.objects, most, notes)
    elif isinstance(answer, PlanningAnswer):
        for i, step in enumerate(answer.steps, 1):
            _hold("step", i, step.objects, most, notes)


def _hold(part: str, place: int, numbers: Sequence[int], most: int, notes: Notes) -> None:
    if not numbers or max(numbers) <= most:
        notes.pass_all(len(numbers))
        return
    for number in numbers:
        notes.judge(f"{part} {place}: object {number}, the list has {most}" if number > most else "")


def _twice(answer: LocalAnswer, notes: Notes) -> None:
    seen: set[int] = set()
    for item in answer.objects:
        if item.number in seen:
            notes.hold(f"object {item.number} is described twice")
        seen.add(item.number)
        for relation in item.relations:
            if relation.to == item.number:
                notes.hold(f"object {item.number} is related to itself")
                break


CHECK = Check(
    name="unknown_number",
    stages=("local", "conversation", "reasoning", "planning"),
    severity="error",
    says="Objects are named by numbers of the question's list, each is described once, and none is related to itself.",
    judge=check,
)
