"""Answers of the stages reasoning and planning."""

from typing import Any

from rs_gpt4v_conversion.gpt4v.asking.describing import Line
from rs_gpt4v_conversion.gpt4v.stub.phrases import capital, exist, family, one, place
from rs_gpt4v_conversion.gpt4v.stub.viewing import View


def reasoning(view: View) -> dict[str, Any]:
    """A hypothetical question, one on a purpose and one that infers."""
    line = _chosen(view)
    items = (_on_scene(view) if line is None else _on_object(view, line))  # fmt: skip
    kinds = ("hypothetical", "purpose", "inference")
    return {
        "items": [
            {"kind": kind, "question": question, "answer": answer, "objects": [] if line is None else [line.number]}
            for kind, (question, answer) in zip(kinds, items, strict=True)
        ]
    }


def planning(view: View) -> dict[str, Any]:
    """A goal, steps that name what they need, and what limits them."""
    lines = list({_definite(line): line for line in _things(view)}.values())[:3]
    if not lines:
        return _survey(view)
    steps = [
        _step(view, lines[0], view.pick("Begin at {} and record its condition.", "Go to {} first and inspect it."))
    ]
    for line in lines[1:]:
        way = view.pick("Continue to {} and compare it with what was recorded before.", "Move on to {} and inspect it.")
        steps.append(_step(view, line, way))
    steps.append(
        {
            "action": "Return to the starting point and check the records for gaps.",
            "needs": f"the free surface next to {_definite(lines[0])}",
            "objects": [],
        }
    )
    if len(steps) < 3:
        around = f"the surface around {_definite(lines[0])}"
        walk = "Go once around it and record the surface on all sides."
        steps.insert(1, {"action": walk, "needs": around, "objects": [lines[0].number]})
    limits = [f"{capital(_definite(lines[0]))} must stay accessible while the work goes on."]
    if len(lines) > 1:
        limits.append(f"The way from there to {_definite(lines[1])} has to stay free.")
    goal = view.pick("Inspect {} and record {} condition.", "Survey {} and document {} present state.")
    named = _definite(lines[0]) if len(lines) == 1 else f"{_definite(lines[0])} and what lies around it"
    return {"goal": goal.format(named, "its"), "steps": steps, "constraints": limits}


def _chosen(view: View) -> Line | None:
    return next(iter(_things(view)), None)


def _things(view: View) -> list[Line]:
    """What can be spoken of; people only where there is nothing else."""
    lines = view.ordered(view.notes.clear)
    return [line for line in lines if family(line.category) != "person"] or lines


def _definite(line: Line) -> str:
    """An object that the reader can find: `the ship at the top left`."""
    name = line.category.removeprefix("other ")
    return f"the {name} {place(line.part)}"


def _step(view: View, line: Line, way: str) -> dict[str, Any]:
    return {"action": way.format(_definite(line)), "needs": _definite(line), "objects": [line.number]}


def _on_object(view: View, line: Line) -> list[tuple[str, str]]:
    notes, verb, near = view.notes, view.verb(line.category), view.neighbour(line)
    where = f"{capital(one(line.category))} {verb} {place(line.part)}{', ' + near if near else ''}."
    most = view.categories[0]
    count = exist(most, notes.numbers.get(most, 1), most in notes.exact)
    event = view.pick("heavy rain fell for days", "the nearest way was closed", "work began next to it")
    return [
        (
            f"What would happen to {_definite(line)} if {event}?",
            f"{where} With the way there blocked, it would be out of reach until the way is free again.",
        ),
        (
            f"Why is it useful that {_definite(line)} {verb} where it does?",
            f"{where} " + view.pick("That keeps the ways around it short.", "That leaves the space around it free."),
        ),
        (
            f"What does the scene around {_definite(line)} tell about its use?",
            f"{count} The marks around suggest that the place is used regularly.",
        ),
    ]


def _on_scene(view: View) -> list[tuple[str, str]]:
    first, *more = view.told
    second = more[0] if more else first
    return [
        (
            "What would follow if heavy rain fell here for several days?",
            f"{first} Water would gather on the even ground first and make the ways across it hard to use.",
        ),
        (
            "Why is the ground here arranged in the way that is visible?",
            f"{second} An arrangement like that keeps the parts apart and the ways between them short.",
        ),
        (
            "What do the visible surfaces tell about the use of the place?",
            f"{first} Clear outlines and even tones suggest that the place is looked after.",
        ),
    ]


def _survey(view: View) -> dict[str, Any]:
    return {
        "goal": view.pick("Survey the place and record its present state.", "Map the visible surfaces of the place."),
        "steps": [
            {"action": "Begin at the left edge and record the ground there.", "needs": "the left edge", "objects": []},
            {"action": "Cross to the middle and record what changes on the way.", "needs": "the ground in the center",
             "objects": []},
            {"action": "Go on to the right edge and close the survey there.", "needs": "the right edge", "objects": []},
        ],
        "constraints": [f"The survey has to follow the ground as it is: {view.told[0][:1].lower()}{view.told[0][1:]}"],
    }  # fmt: skip
