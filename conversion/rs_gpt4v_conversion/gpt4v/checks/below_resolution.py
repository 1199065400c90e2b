"""Whether an answer tells what is too small to be seen.

Attributes of an object want 8 pixels of its longer side in the image that was sent. Where the ground size of a pixel is
known, a kind of thing can be seen down to `SEEN_TO` metres a pixel in the image that was sent, as long as the source
marks none of it, and the colour of a vehicle down to half of that.
"""

from rs_gpt4v_conversion.gpt4v.checks._check import Case, Check, Notes
from rs_gpt4v_conversion.gpt4v.checks.mentions import Mention, is_plain
from rs_gpt4v_conversion.gpt4v.checks.text import sentence, word_set
from rs_gpt4v_conversion.gpt4v.listing import extent
from rs_gpt4v_conversion.gpt4v.schemas import LocalAnswer

SMALLEST = 8.0
"""Pixels of an object's longer side in the image that was sent, from which its colour and state can be told."""

SEEN_TO = {"person": 0.5, "bicycle": 0.5, "vehicle": 2.0, "boat": 5.0}
"""Metres a pixel by concept."""

DETAIL = 0.1
"""Metres a pixel down to which the words of `_DETAILS` can be seen."""

_DETAILS = word_set(
    "windshield windshields windscreen wheel wheels tyre tyres tire tires driver drivers passenger passengers "
    "face faces headlight headlights taillights logo logos clothing clothes hat hats helmet helmets"
)
_COLORS = word_set("white black red blue green yellow silver gray grey orange brown dark light colored coloured")


def check(case: Case, notes: Notes) -> None:
    """Look at attributes of small objects, and at words for small things."""
    if isinstance(case.answer, LocalAnswer):
        _attributes(case, case.answer, notes)
    pixel = case.facts.gsd / case.scale if case.facts.gsd and case.scale else None
    for mention in case.asserted:
        _seen(case, mention, pixel, notes)
    if not case.vocabulary.isdisjoint(_DETAILS):
        _details(case, pixel, notes)


def _attributes(case: Case, answer: LocalAnswer, notes: Notes) -> None:
    scale, listed, objects = case.scale, case.listed, case.facts.objects
    seen = 0
    for item in answer.objects:
        if item.color is None and item.state is None:
            continue
        box = extent(objects[listed[item.number - 1]]) if item.number <= len(listed) else None
        if box is None or scale is None:
            notes.leave()
            continue
        side = max(box[2] - box[0], box[3] - box[1]) * scale
        if side < SMALLEST:
            notes.judge(f"object {item.number}: colour or state of {side:.1f} pixels")
        else:
            seen += 1
    notes.pass_all(seen)


def _seen(case: Case, mention: Mention, pixel: float | None, notes: Notes) -> None:
    for concept in case.lexicon.line(mention.concept):
        if concept in SEEN_TO:
            limit = SEEN_TO[concept]
            break
    else:
        return
    if pixel is None:
        notes.leave()
        return
    marked = case.known.bounds(mention.concept)[0] > 0
    words = mention.piece.tokens
    colored = not _COLORS.isdisjoint(words[max(mention.start - 2, 0) : mention.start])
    unseen = (pixel > limit and not marked) or (colored and pixel > limit / 2)
    if not unseen:
        notes.judge()
        return
    quote = mention.piece.quote(max(mention.start - 2, 0), mention.end)
    notes.judge(f"{mention.piece.where}: {quote!r}, a pixel is {pixel:g} m")


def _details(case: Case, pixel: float | None, notes: Notes) -> None:
    for piece in case.pieces:
        for i, word in enumerate(piece.tokens):
            if word not in _DETAILS or piece.kind != "statement" or piece.imagined:
                continue
            if not is_plain(piece.tokens, *sentence(piece.tokens, i)):
                continue
            if pixel is None:
                notes.leave()
            else:
                notes.judge(f"{piece.where}: {word!r}, a pixel is {pixel:g} m" if pixel > DETAIL else "")


CHECK = Check(
    name="below_resolution",
    stages=("local", "global", "detail", "conversation", "reasoning", "planning"),
    severity="error",
    says=f"No colour or state is given to an object of less than {SMALLEST:g} pixels, and nothing is told of people, "
    "vehicles and their parts that the ground size of a pixel does not show.",
    judge=check,
)
