"""Wording: how a fact becomes a question and an answer, each template with an id and a version that never change.

The registry below is the one place where wording lives. A template is never edited once a release has used it: a new
wording is a new version. Where one of several wordings is used, a hash of the row's id chooses (`choose`), never a
shuffle, so that adding a source or a row leaves all other rows alone.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeVar

from rs_gpt4v_conversion.naming import hash64

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

SHORT = "\nAnswer the question using a single word or phrase."
"""LLaVA-1.5's suffix of a question with a short answer, as the paper's test files have it."""

VQA = (Template(id="vqa/1", text="{question}" + SHORT, origin="paper"),)
"""A question that the source itself asks."""

PRESENCE = (
    Template(id="presence-a/1", text="Is there {a_category} in this image?" + SHORT, origin="ours"),
    Template(id="presence-b/1", text="Does this image show {a_category}?" + SHORT, origin="ours"),
    Template(id="presence-c/1", text="Can {a_category} be seen in the image?" + SHORT, origin="ours"),
)
"""Whether a category is there: yes or no."""

COUNT = (
    Template(id="count-a/1", text="How many {categories} are there in this image?" + SHORT, origin="ours"),
    Template(id="count-b/1", text="What is the number of {categories} in the image?" + SHORT, origin="ours"),
)
"""How many objects of a category there are: a number in digits."""

COMPARISON = (
    Template(id="compare-a/1", text="Are there more {more} than {than} in this image?" + SHORT, origin="ours"),
    Template(id="compare-b/1", text="Does the image show more {more} than {than}?" + SHORT, origin="ours"),
)
"""Whether there are more of one category than of another: yes or no."""

POSITION = (
    Template(id="position-a/1", text="In which part of the image is the {category}?" + SHORT, origin="ours"),
    Template(id="position-b/1", text="Where in this image does the {category} lie?" + SHORT, origin="ours"),
)
"""In which ninth of the image the only object of a category lies."""

CELLS = (
    ("top left", "top", "top right"),
    ("left", "center", "right"),
    ("bottom left", "bottom", "bottom right"),
)
"""The ninths of an image by row and column: words of the picture, not of the compass, for north may be anywhere."""

GROUNDING = (
    Template(
        id="ground-category-a/1",
        text="Provide the bounding box of every {category} in this image, as {box}.",
        origin="ours",
    ),
    Template(
        id="ground-category-b/1",
        text="Where are all the objects of the class {category}? Answer with bounding boxes {box}.",
        origin="ours",
    ),
    Template(
        id="ground-category-c/1",
        text="Detect each {category} in the image and give its box as {box}.",
        origin="ours",
    ),
)
"""All objects of one category. No wording of the paper is known for grounding: these are ours."""

REFERRING = (
    Template(
        id="ground-expression-a/1",
        text="Provide the bounding box of the object that this describes, as {box}: {expression}",
        origin="ours",
    ),
    Template(
        id="ground-expression-b/1",
        text="Find this object in the image and answer with its bounding box {box}: {expression}",
        origin="ours",
    ),
)
"""The object that an expression means."""

REGION = (
    Template(id="region-a/1", text="Describe the object in the box {box} in one sentence.", origin="ours"),
    Template(id="region-b/1", text="What is in the region {box} of this image?", origin="ours"),
)
"""What is in a box."""

DETAIL = (
    Template(id="detail/1", text="What are the key elements in this picture?", origin="paper"),
    Template(id="detail-a/1", text="Describe this remote sensing image in detail.", origin="ours"),
    Template(id="detail-b/1", text="Give a detailed description of the scene in the image.", origin="ours"),
    Template(id="detail-c/1", text="What can be seen in this image? Be thorough.", origin="ours"),
    Template(
        id="detail-d/1", text="Explain what this overhead image shows, from the whole to the parts.", origin="ours"
    ),
)
"""A detailed description. The first one is the paper's: its test file asks nothing else."""

PLANNING = (
    Template(id="planning-a/1", text="{goal} Plan the steps, and say what each needs from the image.", origin="ours"),
    Template(id="planning-b/1", text="Make a step-by-step plan from this image. The goal: {goal}", origin="ours"),
)
"""A plan that reaches a goal."""

TEMPLATES: dict[str, Template] = {
    t.id: t
    for t in (
        *CAPTION,
        *VQA,
        *PRESENCE,
        *COUNT,
        *COMPARISON,
        *POSITION,
        *GROUNDING,
        *REFERRING,
        *REGION,
        *DETAIL,
        *PLANNING,
    )
}
"""Every template by its id."""


def choose(templates: Sequence[T], record: str, purpose: str) -> T:
    """Choose by the hash of a record's id.

    Args:
        templates: What to choose from, in a fixed order.
        record: The id that decides.
        purpose: Tells this choice from others about the same record.
    """
    if len(templates) == 1:
        return templates[0]
    return templates[hash64(record, purpose) % len(templates)]
