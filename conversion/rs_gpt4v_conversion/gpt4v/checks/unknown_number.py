"""Whether the numbers by which an answer names objects are those of the question's list."""

from pydantic import BaseModel

from rs_gpt4v_conversion.gpt4v.checks._check import Case, Check, Notes
from rs_gpt4v_conversion.gpt4v.schemas import ConversationAnswer, LocalAnswer, PlanningAnswer, ReasoningAnswer


def check(case: Case, notes: Notes) -> None:
    """Hold every number against the length of the list."""
    most = len(case.listed)
    numbers = _numbers(case.answer)
    beyond = [said for said in numbers if said[2] > most]
    notes.pass_all(len(numbers) - len(beyond))
    for part, place, number in beyond:
        notes.judge(f"{part} {place}: object {number}, the list has {most}")
    if isinstance(case.answer, LocalAnswer):
        _twice(case.answer, notes)


def _numbers(answer: BaseModel) -> list[tuple[str, int, int]]:
    if isinstance(answer, LocalAnswer):
        found = []
        for item in answer.objects:
            number = item.number
            found.append(("object", number, number))
            for relation in item.relations:
                found.append(("relation of object", number, relation.to))
        return found
    if isinstance(answer, ConversationAnswer):
        return [("turn", i, n) for i, turn in enumerate(answer.turns, 1) for n in turn.objects]
    if isinstance(answer, ReasoningAnswer):
        return [("item", i, n) for i, item in enumerate(answer.items, 1) for n in item.objects]
    if isinstance(answer, PlanningAnswer):
        return [("step", i, n) for i, step in enumerate(answer.steps, 1) for n in step.objects]
    return []


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
