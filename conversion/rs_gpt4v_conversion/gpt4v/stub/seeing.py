"""Answers of the stages local, global and detail."""

from collections import Counter
from typing import Any

from rs_gpt4v_conversion.gpt4v.asking.describing import Line
from rs_gpt4v_conversion.gpt4v.stub.phrases import (
    amount,
    axis,
    capital,
    colour,
    exist,
    family,
    ground,
    joined,
    place,
    sized,
    state,
)
from rs_gpt4v_conversion.gpt4v.stub.viewing import View

_PARTS = ("top left", "top", "top right", "left", "center", "right", "bottom left", "bottom", "bottom right")


def local(view: View) -> dict[str, Any]:
    """An entry for each object that can be described, its box as it was given."""
    return {"objects": [_object(view, line) for line in view.notes.clear]}


def scene(view: View) -> dict[str, Any]:
    """The answer of the global stage."""
    notes = view.notes
    if not view.categories:
        first, *more = view.told
        return {
            "scene": view.scene,
            "layout": " ".join([first, *more[2:3]]),
            "regions": [{"region": "center", "content": first}],
            "counts": [],
            "summary": " ".join([*more[:2], *([first] if not more else []), _closing(view)]),
        }
    spread = f"What stands out is {view.pick('spread over', 'found in')} {joined(_parts(view))}."
    most = view.categories[0]
    plain = view.pick("The surface between is even and open.", "Around it, the surface is even and without marks.")
    facts = [exist(c, notes.numbers.get(c, 1), c in notes.exact) for c in view.categories]
    return {
        "scene": view.scene,
        "layout": f"{capital(ground(most))} makes up most of the scene. {spread}",
        "regions": _regions(view),
        "counts": [{"category": c, "count": notes.numbers.get(c, 1)} for c in view.categories],
        "summary": " ".join([*facts[:3], *_sentences(view)[:1], plain]),
    }


def detail(view: View) -> dict[str, Any]:
    """One paragraph: the scene, its objects, what is around them."""
    if not view.categories:
        return {"description": " ".join(dict.fromkeys([*view.told[:7], _closing(view)]))}
    amounts = joined(view.amounts(view.categories))
    opening = view.pick(
        f"{capital(ground(view.categories[0]))} with {amounts} fills the whole view.",
        f"{capital(ground(view.categories[0]))} with {amounts} is seen from straight above.",
    )
    spread = f"What stands out lies in {joined(_parts(view))}."
    around = view.pick(
        "The surface between is even, with few marks and soft changes of tone.",
        "Around it the surface is even and open, and its tone changes little from edge to edge.",
    )
    return {"description": " ".join([opening, spread, *_sentences(view)[:4], around, _closing(view)])}


def sentence(view: View, line: Line) -> str:
    """One sentence on an object: what was seen of it, or else where it is."""
    seen = view.notes.seen.get(line.number)
    if seen:
        return seen[-1]
    verb, where, near = view.verb(line.category), place(line.part), view.neighbour(line)
    outline = "" if family(line.category) == "person" or not line.box else axis(line.box, view.notes.aspect)
    ways = [f"{capital(sized(line))} {verb} {where}{', ' + outline if outline else ''}."]
    if near:
        ways.append(f"{capital(sized(line))} {verb} {where}, {near}.")
    ways.append(f"{capital(where)} {verb} {sized(line)}{', ' + outline if outline else ''}.")
    return ways[(line.number + int(view.key[:2], 16)) % len(ways)]


def _object(view: View, line: Line) -> dict[str, Any]:
    return {
        "number": line.number,
        "category": line.category,
        "box": list(line.box),
        "color": colour(line, view.key) if view.notes.optical else None,
        "state": state(line, view.key),
        "description": sentence(view, line),
        "relations": [{"to": n.number, "relation": n.relation} for n in line.neighbours],
    }


def _sentences(view: View) -> list[str]:
    return list(dict.fromkeys(sentence(view, line) for line in view.ordered(view.notes.clear)))


def _parts(view: View) -> list[str]:
    """The parts of the image with most of the objects: `the center`, `the top left`."""
    parts = Counter(line.part for line in view.notes.lines) or Counter({"center": 1})
    return [f"the {part} {'of the scene' if part == 'center' else 'part'}" for part, _ in parts.most_common(3)]


def _regions(view: View) -> list[dict[str, str]]:
    inside: dict[str, Counter[str]] = {part: Counter() for part in _PARTS}
    for line in view.notes.lines:
        inside[line.part][line.category] += 1
    regions = []
    for part, counts in inside.items():
        if counts:
            named = joined([amount(c, n, exact=False) for c, n in counts.most_common(3)])
            regions.append({"region": part, "content": f"{capital(named)} on {ground(counts.most_common(1)[0][0])}."})
    return regions or [{"region": "center", "content": "Even ground without marks."}]


def _closing(view: View) -> str:
    return view.pick(
        "All of it is seen from straight above, so that outlines and surfaces show and walls do not.",
        "The light is even, and outlines stand out clearly against their surroundings.",
        "Toward the edges the same kind of surface goes on.",
    )
