"""The prompts of the GPT-4V stage, one in a file `<stage>-<version>.md`: read and checked once, filled in for an image.

    ---
    id: gpt4v-local             never changes
    version: 1                  a text that was used is never edited: another wording is another version (tested)
    stage: local
    schema: LocalAnswer         the model in schemas.py that the answer must fit
    answer_tokens: 30           expected of an answer, JSON included
    answer_tokens_each: 120     and for each object that is asked about; 0 unless said
    ---

    ## system                   the same for all images but for {{boxes}}, so that a vendor can keep it
    ## boxes obb, ## boxes hbb  what {{boxes}} stands for, where a prompt has it
    ## user                     what is known of the one image

Placeholders are strict: one that is not known, or a value that a prompt does not use, is an error when it is loaded.

    {{image}}      modality and size of the image, metres per pixel where known
    {{boxes}}      how boxes are to be read
    {{objects}}    the list of objects, see describing.py
    {{rest}}       numbers, absence and completeness, see describing.py
    {{captions}}   the source's captions, quoted
    {{scene}}      the accepted global answer
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from importlib.resources import files
from typing import Any

import yaml

from rs_gpt4v_conversion.gpt4v.asking.describing import Described, plain, quoted
from rs_gpt4v_conversion.gpt4v.records import STAGES, Facts, Stage
from rs_gpt4v_conversion.gpt4v.schemas import ANSWERS
from rs_gpt4v_conversion.records import BoxForm

FIELDS: dict[Stage, frozenset[str]] = {
    "local": frozenset({"image", "boxes", "objects", "rest"}),
    "global": frozenset({"image", "boxes", "objects", "rest", "captions"}),
    "detail": frozenset({"image", "scene", "objects", "rest"}),
    "conversation": frozenset({"image", "scene", "objects", "rest"}),
    "reasoning": frozenset({"image", "scene", "objects", "rest"}),
    "planning": frozenset({"image", "scene", "objects", "rest"}),
}
"""The placeholders of each stage's prompt: all of them, and no other."""

HEAD = "Objects (number | category | size | part of the image | {box} | neighbours | remarks):"

MODALITIES = {
    "optical": "optical",
    "infrared": "thermal infrared, without colours: grey levels show heat, not light",
    "sar": "synthetic aperture radar, without colours: bright is a strong echo, calm water and smooth ground are dark",
}
"""How a question names what kind of image it shows."""

_KEYS = {"id": str, "version": int, "stage": str, "schema": str, "answer_tokens": int, "answer_tokens_each": int}
_OPTIONAL: dict[str, Any] = {"answer_tokens_each": 0}
_SECTION = re.compile(r"^## (.+)$", re.MULTILINE)
_FIELD = re.compile(r"\{\{(.*?)\}\}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Prompt:
    """A stage's prompt as its file has it."""

    id: str
    version: int
    stage: Stage
    answer_tokens: int
    answer_tokens_each: int
    system: str
    user: str
    boxes: Mapping[str, str]  # by form; empty where the prompt has no boxes

    @property
    def name(self) -> str:
        """`<id>/<version>`."""
        return f"{self.id}/{self.version}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Rendered:
    """A prompt filled in for one image."""

    prompt: str  # `<id>/<version>`
    system: str
    user: str
    answer_tokens: int  # expected of the answer, estimated


def parse_prompt(text: str, where: str) -> Prompt:
    """Read and check a prompt's file.

    Args:
        text: Its content.
        where: The file's name, for errors.

    Raises:
        ValueError: It is not of the form that this module describes.
    """
    parts = text.split("---\n", 2)
    if len(parts) != 3 or parts[0]:
        raise ValueError(f"{where}: found no front matter, expected one between two lines `---` at the beginning")
    head = _front_matter(parts[1], where)
    stage: Stage = head["stage"]
    sections = _sections(parts[2], where)
    boxes = {name.removeprefix("boxes "): value for name, value in sections.items() if name.startswith("boxes ")}
    used = {name for value in sections.values() for name in _FIELD.findall(value)}
    for wrong, what in ((used - FIELDS[stage], "unknown"), (FIELDS[stage] - used, "unused")):
        if wrong:
            known = ", ".join(sorted(FIELDS[stage]))
            raise ValueError(f"{where}: {what} placeholder {min(wrong)!r}, expected all of: {known}")
    expected = {"system", "user", *(("boxes obb", "boxes hbb") if "boxes" in FIELDS[stage] else ())}
    if set(sections) != expected:
        raise ValueError(f"{where}: found the sections {sorted(sections)}, expected {sorted(expected)}")
    if changing := sorted(set(_FIELD.findall(sections["system"])) - {"boxes"}):
        raise ValueError(f"{where}: placeholder {changing[0]!r} in the system message, which takes only 'boxes'")
    return Prompt(
        id=head["id"], version=head["version"], stage=stage, answer_tokens=head["answer_tokens"],
        answer_tokens_each=head["answer_tokens_each"], system=sections["system"], user=sections["user"], boxes=boxes,
    )  # fmt: skip


def _front_matter(text: str, where: str) -> dict[str, Any]:
    try:
        head = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise ValueError(f"{where}: front matter is not YAML: {error}") from None
    if not isinstance(head, dict):
        raise ValueError(f"{where}: front matter is {head!r}, expected keys and values")
    head = _OPTIONAL | head
    for key in sorted({*head, *_KEYS}, key=str):
        if key not in _KEYS:
            raise ValueError(f"{where}: unknown key {key!r} in the front matter, expected {', '.join(_KEYS)}")
        if type(head.get(key)) is not _KEYS[key]:
            found = repr(head[key]) if key in head else "nothing"
            raise ValueError(f"{where}: {key} is {found}, expected a value of type {_KEYS[key].__name__}")
    if head["stage"] not in STAGES:
        raise ValueError(f"{where}: stage is {head['stage']!r}, expected one of {', '.join(STAGES)}")
    answer = ANSWERS[head["stage"]].__name__
    if head["schema"] != answer:
        raise ValueError(f"{where}: schema is {head['schema']!r}, expected {answer!r} for the stage {head['stage']}")
    return head


def _sections(text: str, where: str) -> dict[str, str]:
    before, *parts = _SECTION.split(text)
    if before.strip():
        raise ValueError(f"{where}: found text before the first section, expected `## system`")
    names, values = parts[0::2], parts[1::2]
    if len(set(names)) < len(names):
        raise ValueError(f"{where}: a section comes twice, expected each once")
    return {name: value.strip() for name, value in zip(names, values, strict=True)}


def _load() -> dict[str, Prompt]:
    prompts: dict[str, Prompt] = {}
    for path in sorted(files(__name__).iterdir(), key=lambda p: p.name):
        if path.name.endswith(".md"):
            prompt = parse_prompt(path.read_text(encoding="utf-8"), path.name)
            expected = f"{prompt.stage}-{prompt.version}.md"
            if path.name != expected:
                raise ValueError(
                    f"{path.name}: stage and version are those of {expected}, expected the file's own name"
                )
            prompts[prompt.name] = prompt
    return prompts


ALL = _load()
"""Every prompt that was ever used, by `<id>/<version>`."""

PROMPTS: dict[Stage, Prompt] = {p.stage: p for p in sorted(ALL.values(), key=lambda p: p.version)}
"""The prompt that each stage asks with: the newest."""


def prompt_text(name: str) -> str | None:
    """The file of a prompt by `<id>/<version>`; None where it is none of ours."""
    prompt = ALL.get(name)
    if prompt is None:
        return None
    return files(__name__).joinpath(f"{prompt.stage}-{prompt.version}.md").read_text(encoding="utf-8")


def render(
    stage: Stage,
    facts: Facts,
    *,
    boxes: BoxForm,
    width: int,
    height: int,
    local: dict[str, Any] | None = None,
    scene: dict[str, Any] | None = None,
) -> Rendered:
    """Fill in a stage's prompt for one image.

    Args:
        stage: What is asked.
        facts: All that is known of the image, captions included.
        boxes: The form of boxes; an object that has none of that form is given in the other.
        width: Of the image that is sent, pixels.
        height: Likewise.
        local: The content of the accepted local answer, needed by all later stages where `asks_local`.
        scene: The content of the accepted global answer, needed by all stages after it.

    Raises:
        ValueError: The stage needs an answer that is not given, or there is no object to ask the local stage about.
    """
    prompt = PROMPTS[stage]
    described = Described(facts, boxes, width, height)
    _require(stage, described, local, scene)
    told = "boxes" in FIELDS[stage]
    rows = described.objects(boxes=told, local=None if stage == "local" else local)
    values = {
        "image": _image(facts, width, height),
        "boxes": prompt.boxes.get(described.form, ""),
        "objects": f"{HEAD.format(box='box' if told else '-')}\n{rows}" if rows else "Objects: none are listed.",
        "rest": described.rest(),
        "captions": _captions(facts),
        "scene": "" if scene is None else _scene(scene, facts),
    }
    return Rendered(
        prompt=prompt.name,
        system=_system(prompt.system, values["boxes"]),
        user=_fill(prompt.user, values),
        answer_tokens=prompt.answer_tokens + prompt.answer_tokens_each * described.asked,
    )


def _require(stage: Stage, described: Described, local: Any, scene: Any) -> None:
    facts = described.facts
    if stage == "local" and not described.positions:
        raise ValueError(f"{facts.record}: no object is listed, so there is nothing to ask the local stage about")
    if stage != "local" and described.asked and local is None:
        raise ValueError(f"{facts.record}: the stage {stage} needs the accepted local answer, and none is given")
    if stage not in ("local", "global") and scene is None:
        raise ValueError(f"{facts.record}: the stage {stage} needs the accepted global answer, and none is given")


@lru_cache(maxsize=64)  # a stage has two at most
def _system(text: str, boxes: str) -> str:
    return _fill(text, {"boxes": boxes})


def _fill(text: str, values: Mapping[str, str]) -> str:
    """Put values in the place of placeholders, once: braces inside a value stay as they are."""
    filled = _FIELD.sub(lambda m: values[m[1]], text)
    return re.sub(r"\n{3,}", "\n\n", filled).strip()


def _image(facts: Facts, width: int, height: int) -> str:
    parts = [MODALITIES.get(facts.modality, facts.modality), f"{width} x {height} pixels"]
    if facts.gsd is not None:
        parts.append(f"{facts.gsd * (facts.width or width) / width:.2g} m per pixel")
    return "; ".join(parts)


def _captions(facts: Facts) -> str:
    return "\n".join(["Captions:", *map(quoted, facts.captions)]) if facts.captions else ""


def _scene(scene: dict[str, Any], facts: Facts) -> str:
    """The accepted global answer, without numbers that the annotations give."""
    present = {o.category for o in facts.objects} | set(facts.searched)
    counts = [f"{plain(c['category'])} {c['count']}" for c in scene["counts"] if c["category"] not in present]
    return "\n".join([
        f"Scene: {plain(scene['scene'])}",
        f"Layout: {plain(scene['layout'])}",
        *(f"{plain(r['region'])}: {plain(r['content'])}" for r in scene["regions"]),
        f"Summary: {plain(scene['summary'])}",
        *([f"Counted in the image: {', '.join(counts)}"] if counts else []),
    ])  # fmt: skip
