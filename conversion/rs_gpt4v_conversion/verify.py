"""What makes a question-answer pair unfit for a release. Each flaw is a few words, counted in the manifest."""

import re

from rs_gpt4v_conversion.records import Pair
from rs_gpt4v_conversion.templates import TEMPLATES
from rs_gpt4v_conversion.templates.boxes import has_area

_TAG = re.compile(r"<image>|</?s>|<unk>", re.IGNORECASE)
_SURROGATE = re.compile("[\ud800-\udfff]")


def pair_flaw(pair: Pair) -> str:
    """The first flaw of a pair, or an empty string.

    A blank caption is one without a letter (` .`, `1 .`); other answers may be bare numbers. Text that a LLaMA
    tokenizer or LLaVA's template would take for a control token breaks training in silence, so it stays out.
    """
    text = pair.question + pair.answer
    if not pair.answer.strip():
        return "blank answer" if pair.category != "caption" else "blank caption"
    if pair.category == "caption" and not any(c.isalpha() for c in pair.answer):
        return "blank caption"
    if not pair.question.strip() or not _asks(pair):
        return "blank question"
    if _TAG.search(text):
        return "text holds a control token"
    if not text.isascii() and _SURROGATE.search(text):
        return "text is not Unicode"
    if "\0" in text:
        return "text holds a zero byte"
    if pair.template in TEMPLATES and not has_area(_boxes(pair)):
        return "box so small that its text has no area"
    return ""


def _boxes(pair: Pair) -> str:
    """Where our templates write boxes: what others wrote is theirs."""
    return {"grounding": pair.answer, "region": pair.question}.get(pair.category, "")


def _asks(pair: Pair) -> bool:
    """Whether the question says something before the template's own lines."""
    return bool(pair.question.split("\n", 1)[0].strip())
