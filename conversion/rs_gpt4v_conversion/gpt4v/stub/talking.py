"""Answers of the stage conversation."""

from collections.abc import Iterator
from typing import Any

from rs_gpt4v_conversion.gpt4v.asking.describing import Line
from rs_gpt4v_conversion.gpt4v.stub.phrases import capital, exist, family, one, place
from rs_gpt4v_conversion.gpt4v.stub.viewing import View
from rs_gpt4v_conversion.templates.words import plural

Turn = dict[str, Any]


def conversation(view: View) -> dict[str, Any]:
    """Five to eight turns, of which later ones refer back."""
    turns = [*_on_objects(view), *_on_scene(view)] if view.notes.clear else list(_on_scene(view))
    most = view.pick(5, 6, 7, 8)
    return {"turns": turns[: max(5, most)]}


def _on_objects(view: View) -> Iterator[Turn]:
    notes = view.notes
    clear = {line.category for line in notes.clear}
    certain = [c for c in view.categories if c in notes.exact and c in clear]
    things = [c for c in certain or sorted(clear) if family(c) != "person"]
    first = things[0] if things else (certain or sorted(clear))[0]
    line = next(line for line in notes.clear if line.category == first)
    count = notes.numbers.get(first, 1)
    if certain:
        ask = f"How many {plural(first)} are there?"
        yield _turn(ask, exist(first, count, exact=True), notes.of(first) if count <= len(notes.of(first)) else [])
    else:
        yield _turn(f"What can be seen {place(line.part)}?", f"{capital(one(first))} can be seen there.", [line.number])
    it = view.pronoun(line)
    if certain:
        yield _turn(*_where(view, line, count == 1), [line.number])
    yield _turn(f"What does {it} look like?", _look(view, line), [line.number])
    near = view.neighbour(line)
    if near:
        others = [line.number, line.neighbours[0].number]
        yield _turn(f"And what is close to {it}?", f"{capital(it)} {view.verb(first)} {near}.", others)
    yield from _on_others(view, first, [c for c in certain if c != first])
    if notes.absent:
        absent = view.pick(*notes.absent)
        yield _turn(f"Is there {one(absent)} as well?", f"No, there is no {absent}.", [])


def _where(view: View, line: Line, alone: bool) -> tuple[str, str]:
    if alone:
        it, verb = view.pronoun(line), view.verb(line.category)
        return f"Where exactly is {it}?", f"{capital(it)} {verb} {place(line.part)}."
    return "Where can one of them be found?", f"One of them {view.verb(line.category)} {place(line.part)}."


def _look(view: View, line: Line) -> str:
    seen = view.notes.seen.get(line.number, ())
    size, it = line.size.partition(",")[0], capital(view.pronoun(line))
    if len(seen) > 1:
        return f"{it} is {seen[0]}. {seen[-1]}"
    return f"{it} is {'of medium size' if size == 'medium' else size} compared with the whole scene."


def _on_others(view: View, first: str, certain: list[str]) -> Iterator[Turn]:
    """A second category."""
    notes = view.notes
    other = next((line for line in notes.clear if line.category != first), None)
    if certain:
        second = certain[0]
        count, numbers = notes.numbers[second], notes.of(second)
        yield _turn(f"And how many {plural(second)} are there besides?", exist(second, count, exact=True),
                    numbers if count <= len(numbers) else [])  # fmt: skip
    elif other is not None:
        answer = f"Yes, there is {one(other.category)} {place(other.part)}."
        yield _turn(f"Is there {one(other.category)} besides?", answer, [other.number])


def _on_scene(view: View) -> Iterator[Turn]:
    first, *more = view.told
    if not view.notes.clear:
        yield _turn("What can be seen here?", first, [])
        for ask, answer in zip(
            ("What else belongs to it?", "And what else can be said about that?"), more, strict=False
        ):
            yield _turn(ask, answer, [])
    yield _turn("What is the surface around it like?", view.pick(
        "The surface around it is even and changes its tone only slowly.",
        "It is open and even there.",
    ), [])  # fmt: skip
    yield _turn("From where is all of this seen?", "It is seen from straight above, so surfaces and outlines show.", [])
    yield _turn("Do the outlines stand out against that?", "Yes, they stand out clearly against the even surface.", [])
    yield _turn("And what do the edges show?", "The same kind of surface goes on toward the edges.", [])
    yield _turn("Which part of it deserves a closer look?", view.pick(
        "The middle deserves it, since most of the detail is there.",
        "The part around the center does, since its outlines are the clearest.",
    ), [])  # fmt: skip


def _turn(question: str, answer: str, objects: list[int]) -> Turn:
    return {"question": question, "answer": answer, "objects": objects}
