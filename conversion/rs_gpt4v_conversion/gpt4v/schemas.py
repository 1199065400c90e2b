"""The form of an answer, stage by stage.

The JSON schema that is sent with a request is made from these models, and an answer is checked against them.

Boxes in answers are shares of the image's width and height, 0 to 1, origin at its top left corner: four numbers
(x1 y1 x2 y2) or eight (x y of four corners), as the request asked.
"""

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from rs_gpt4v_conversion.gpt4v.records import Stage

Words = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1)]
Number = Annotated[int, Field(ge=1)]
"""Of an object in the request's list, from 1."""


class _Answer(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class Relation(_Answer):
    """How an object lies to another one of the list."""

    to: Number
    relation: Words


class LocalObject(_Answer):
    """What can be seen of one object of the list."""

    number: Number
    category: Words
    box: Annotated[list[float], Field(min_length=4, max_length=8)]
    color: Words | None
    state: Words | None
    description: Words
    relations: list[Relation]


class LocalAnswer(_Answer):
    """Attributes and relations of the objects of an image."""

    objects: list[LocalObject]


class Region(_Answer):
    """What lies in one part of the image."""

    region: Literal["top left", "top", "top right", "left", "center", "right", "bottom left", "bottom", "bottom right"]
    content: Words


class Amount(_Answer):
    """How many objects of a category there are."""

    category: Words
    count: Annotated[int, Field(ge=0)]


class GlobalAnswer(_Answer):
    """The whole scene."""

    scene: Words  # its kind, a few words
    layout: Words
    regions: Annotated[list[Region], Field(min_length=1, max_length=9)]
    counts: list[Amount]
    summary: Words


class DetailAnswer(_Answer):
    """A description for readers who do not see the image."""

    description: Words


class ConversationTurn(_Answer):
    """A question about the image and its answer."""

    question: Words
    answer: Words
    objects: list[Number]  # that the answer speaks of


class ConversationAnswer(_Answer):
    """A conversation whose later turns refer to earlier ones."""

    turns: Annotated[list[ConversationTurn], Field(min_length=5, max_length=8)]


class ReasoningItem(_Answer):
    """A question that cannot be answered by looking alone."""

    kind: Literal["hypothetical", "purpose", "inference"]
    question: Words
    answer: Words
    objects: list[Number]


class ReasoningAnswer(_Answer):
    """Complex reasoning: one question of each kind."""

    items: Annotated[list[ReasoningItem], Field(min_length=3, max_length=3)]


class Step(_Answer):
    """One step of a plan, and the object or the part of the image that it needs."""

    action: Words
    needs: Words
    objects: list[Number]


class PlanningAnswer(_Answer):
    """A plan that reaches a goal by what can be seen."""

    goal: Words
    steps: Annotated[list[Step], Field(min_length=2, max_length=8)]
    constraints: Annotated[list[Words], Field(min_length=1, max_length=5)]


ANSWERS: dict[Stage, type[_Answer]] = {
    "local": LocalAnswer,
    "global": GlobalAnswer,
    "detail": DetailAnswer,
    "conversation": ConversationAnswer,
    "reasoning": ReasoningAnswer,
    "planning": PlanningAnswer,
}


class ForeignConversation(ConversationAnswer):
    """A conversation that someone else asked for: of any length."""

    turns: Annotated[list[ConversationTurn], Field(min_length=1)]


class ForeignReasoningItem(ReasoningItem):
    """A question of someone else's that needs reasoning; of which kind need not be stated."""

    # wider than ours, which no reader of an item minds
    kind: Literal["hypothetical", "purpose", "inference", "unstated"] = "unstated"  # type: ignore[assignment]


class ForeignReasoning(ReasoningAnswer):
    """Complex reasoning that someone else asked for: any number of questions of any kind."""

    items: Annotated[list[ForeignReasoningItem], Field(min_length=1)]  # type: ignore[assignment]


FOREIGN: dict[Stage, type[_Answer]] = {
    **ANSWERS, "conversation": ForeignConversation, "reasoning": ForeignReasoning,
}  # fmt: skip
"""The form of answers to questions that were not ours, as a map brings them in (see mapping.py)."""


def json_schema(stage: Stage) -> dict[str, Any]:
    """The JSON schema of a stage's answer, as `response_format` of a request takes it.

    All properties are required and none may be added, as OpenAI's strict mode demands. Titles and descriptions of the
    models are left out, and so are lengths of strings, which that mode does not take (they are checked on import).
    """
    schema: dict[str, Any] = _bare(ANSWERS[stage].model_json_schema())
    return schema


_LEFT_OUT = ("title", "description", "minLength", "maxLength")


def _bare(node: Any) -> Any:
    if isinstance(node, dict):
        # a property may be called `description`: then its value is a schema
        return {k: _bare(v) for k, v in node.items() if k not in _LEFT_OUT or isinstance(v, dict)}
    return [_bare(v) for v in node] if isinstance(node, list) else node
