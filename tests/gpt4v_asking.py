"""Subjects, questions and answers for tests of the export: drawn images, and words that a reader can check."""

import io
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from rs_gpt4v_conversion.config import Generation, SourceSpec
from rs_gpt4v_conversion.gpt4v.asking.exporting import Asking
from rs_gpt4v_conversion.gpt4v.asking.tokens import GPT_4O
from rs_gpt4v_conversion.gpt4v.records import Accepted, Answers, Facts, Stage, Subject
from rs_gpt4v_conversion.records import BoxForm, ImageRef, Object
from rs_gpt4v_conversion.sources import known_sources


@dataclass(frozen=True)
class Words:
    prompt: str
    system: str
    user: str
    answer_tokens: int


def render(
    stage: Stage,
    facts: Facts,
    *,
    boxes: BoxForm,
    width: int,
    height: int,
    local: dict[str, Any] | None,
    scene: dict[str, Any] | None,
) -> Words:
    """A question that says all it was given."""
    objects = "; ".join(f"{o.category} {o.obb if boxes == 'obb' else o.bbox}" for o in facts.objects)
    user = f"{facts.captions} {objects} of {facts.width} in {width}x{height}, local {local}, scene {scene}"
    return Words(prompt=f"{stage}/1", system=f"You describe images ({stage}).", user=user, answer_tokens=300)


UPRIGHT = Object(category="ship", bbox=(4.0, 4.0, 20.0, 20.0))
ROTATED = replace(UPRIGHT, obb=(4.0, 12.0, 12.0, 4.0, 20.0, 12.0, 12.0, 20.0))


def picture(number: int, side: int = 48) -> bytes:
    """A JPEG that depends on the number alone."""
    pixels = np.random.default_rng(number).integers(0, 255, (side, side, 3), dtype=np.uint8)
    out = io.BytesIO()
    Image.fromarray(pixels).save(out, "JPEG", quality=80)
    return out.getvalue()


def subject(folder: Path, number: int, *, split: str = "train", objects: tuple[Object, ...] = ()) -> Subject:
    """An image `<folder>/<number>.jpg` of the source that the folder is called by."""
    path = folder / f"{number}.jpg"
    return Subject(
        source=folder.name,
        split=split,
        image=ImageRef(image_id=str(number), source_id=path.name, path=path, image_path=path.name),
        license="none",
        facts=Facts(record=f"{folder.name}/{split}/{number}", captions=(f"picture {number}",), objects=objects),
    )


def draw(folder: Path, images: int) -> Path:
    """A source of so many images, every third of test."""
    folder.mkdir(parents=True)
    for number in range(images):
        (folder / f"{number}.jpg").write_bytes(picture(number))
    return folder


def spec(folder: Path) -> SourceSpec:
    return SourceSpec(
        name=folder.name,
        source=known_sources()["rsicd"],
        root=folder,
        options={},
        limit=None,
        max_side=None,
        reject_limit=0.5,
    )


def subjects(spec: SourceSpec, notes: Counter[str]) -> Iterator[Subject]:
    """The images of a folder in the order of their numbers: a ship each, rotated in every second one."""
    for path in sorted(spec.root.glob("*.jpg"), key=lambda p: int(p.stem)):
        number = int(path.stem)
        split = "test" if number % 3 == 2 else "train"
        yield subject(spec.root, number, split=split, objects=(ROTATED if number % 2 else UPRIGHT,))
    notes["image without anything to tell"] += 1


class Given(dict[tuple[str, str], dict[str, Any]]):
    """Accepted answers by stage and record."""

    def accepted(self, stage: Stage, record: str) -> Accepted | None:
        content = self.get((stage, record))
        if content is None:
            return None
        return Accepted(stage=stage, record=record, prompt=f"{stage}/1", model="m", content=content)


def asking(*folders: Path, answers: Answers | None = None, **generation: Any) -> Asking:
    """What an export over these sources needs."""
    return Asking(
        specs=tuple(spec(folder) for folder in folders),
        generation=Generation(requests=Path("requests"), **generation),
        rule=GPT_4O,
        subjects=subjects,
        render=render,
        answers=answers,
    )
