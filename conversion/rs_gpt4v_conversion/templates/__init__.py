"""Wording: how a fact becomes a question and an answer, each template with an id and a version that never change.

The registry below is the one place where wording lives. A template is never edited once a release has used it: a new
wording is a new version. Where one of several wordings is used, a hash of the row's id chooses (`choose`), never a
shuffle, so that adding a source or a row leaves all other rows alone.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeVar

T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class Template:
    """One wording of a question."""

    id: str  # <name>/<version>, as a row's pairs state it
    text: str  # with fields in braces
    origin: str  # `paper`, or `ours` where no wording of the paper is known

    def ask(self, **fields: str) -> str:
        """The question with its fields filled in; braces inside a field's value stay as they are."""
        return self.text.format(**fields)


CAPTION = (
    Template(
        id="caption/1",
        text="Provide a one-sentence caption for this remote sensing image.",
        origin="paper",
    ),
)
"""The paper's one caption prompt, as its test files have it."""

VQA = (
    Template(
        id="vqa/1",
        text="{question}\nAnswer the question using a single word or phrase.",
        origin="paper",
    ),
)
"""The paper's form of a question with a short answer (LLaVA-1.5's suffix)."""

GROUNDING = (
    Template(
        id="ground-category-a/1",
        text="Provide the bounding box of every {category} in this image, as [x1, y1, x2, y2].",
        origin="ours",
    ),
    Template(
        id="ground-category-b/1",
        text="Where are all the objects of the class {category}? Answer with bounding boxes [x1, y1, x2, y2].",
        origin="ours",
    ),
    Template(
        id="ground-category-c/1",
        text="Detect each {category} in the image and give its box as [x1, y1, x2, y2].",
        origin="ours",
    ),
)
"""All objects of one category. No wording of the paper is known for grounding: these are ours."""

TEMPLATES: dict[str, Template] = {t.id: t for t in (*CAPTION, *VQA, *GROUNDING)}
"""Every template by its id."""


def choose(templates: Sequence[T], record: str, purpose: str) -> T:
    """Choose by the hash of a record's id.

    Args:
        templates: What to choose from, in a fixed order.
        record: The id that decides.
        purpose: Tells this choice from others about the same record.
    """
    digest = hashlib.sha256(f"{purpose}\0{record}".encode()).digest()
    return templates[int.from_bytes(digest[:8], "big") % len(templates)]
