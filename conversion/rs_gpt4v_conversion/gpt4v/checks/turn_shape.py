"""Whether the parts of an answer belong together as the stage asks: turns, kinds of questions, steps."""

from rs_gpt4v_conversion.gpt4v.checks._check import Case, Check, Notes
from rs_gpt4v_conversion.gpt4v.checks.text import Piece, is_word, tokens, word_set
from rs_gpt4v_conversion.gpt4v.schemas import PlanningAnswer, ReasoningAnswer

_REFERRING = word_set(
    "it its they them their those these ones other others another also else same former latter mentioned"
)
_COMMON = word_set(
    "image scene picture what where which there does how many that this with have from about would could "
    "color colour type area side kind located visible describe"
)
_LONG = 4
"""Letters of a word that is content enough to link two turns."""

_NOTHING = word_set("none nothing na n a null any unknown not applicable nil")

KINDS = ("hypothetical", "purpose", "inference")


def check(case: Case, notes: Notes) -> None:
    """Look at what the stage has: turns, items or steps."""
    if case.stage == "conversation":
        linked = _refer(case.pieces)
        notes.judge("" if linked else "no later question refers to an earlier turn")
    elif isinstance(case.answer, ReasoningAnswer):
        kinds = [item.kind for item in case.answer.items]
        missing = [kind for kind in KINDS if kind not in kinds]
        notes.judge(f"no question of kind {', '.join(missing)}" if missing else "")
    elif isinstance(case.answer, PlanningAnswer):
        for i, step in enumerate(case.answer.steps, 1):
            empty = not step.objects and _NOTHING.issuperset(w for w in tokens(step.needs) if is_word(w))
            notes.judge(f"step {i}: {step.needs!r} names no object and no part of the image" if empty else "")


def _refer(pieces: tuple[Piece, ...]) -> bool:
    """Whether a question after the first has a pronoun, or a noun that an earlier answer brought up."""
    later = [piece for piece in pieces if piece.kind == "question" and piece.turn > 0]
    if any(not _REFERRING.isdisjoint(piece.tokens) for piece in later):
        return True
    answered: set[str] = set()
    for piece in pieces:
        if piece.kind == "statement":
            answered.update(w for w in piece.tokens if len(w) >= _LONG)
        elif piece.turn > 0 and _brought_up(piece, answered):
            return True
    return False


def _brought_up(question: Piece, answered: set[str]) -> bool:
    return any(word in answered and word not in _COMMON for word in question.tokens)


CHECK = Check(
    name="turn_shape",
    stages=("conversation", "reasoning", "planning"),
    severity="warn",
    says="A later question of a conversation refers to an earlier turn, reasoning has a question of each kind, and "
    "every step of a plan names what it needs.",
    judge=check,
)
