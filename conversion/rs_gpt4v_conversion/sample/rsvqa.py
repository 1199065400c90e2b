"""RSVQA-LR and RSVQA-HR: three JSON files a split, and GeoTIFFs.

Every file lists every item of the source: those of other splits as placeholders, of which nothing
but the id is known.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rs_gpt4v_conversion.sample.geotiff import Georeference
from rs_gpt4v_conversion.sample.landscape import (
    BLOCK_SIZE,
    COUNTRYSIDE_SIZE,
    Landscape,
    block,
    countryside,
)
from rs_gpt4v_conversion.sample.layout import chance, splits_by_position, write_json
from rs_gpt4v_conversion.sample.questions import Question, ask, next_to_road

PARTS = ("questions", "answers", "images")
DOUBLE_SPACE = 0  # the image with a question that has one; in train
NO_DATA = 1  # the aerial image with a black area

EPOCH = 1_500_000_000.0  # `date_added` is a time in seconds; these count from a made-up one

HR_LATITUDE = 40.7  # degrees north
MERCATOR_STRETCH = 1 / math.cos(math.radians(HR_LATITUDE))


@dataclass(frozen=True, slots=True, kw_only=True)
class _Set:
    """What tells the two sets apart."""

    name: str
    prefix: str
    folder: str
    shares: dict[str, float]
    types: tuple[str, ...]
    metres: float  # of a pixel on the ground
    resolution: str  # the same as the set writes it
    sensor: str
    draw: Callable[[int, int], Landscape]  # seed, number of the image
    place: Callable[[int], Georeference]
    twins: bool  # a PNG beside each TIFF


def write_rsvqa_lr(root: Path, images: int, seed: int) -> None:
    """Write RSVQA-LR: small images from space, asked about what a map shows."""
    _write(LOW, root, images, seed)


def write_rsvqa_hr(root: Path, images: int, seed: int) -> None:
    """Write RSVQA-HR, with its second test set and its PNG twins."""
    _write(HIGH, root, images, seed)


def _write(dataset: _Set, root: Path, images: int, seed: int) -> None:
    folder = root / dataset.folder
    folder.mkdir(parents=True)
    records: dict[str, list[tuple[str, dict[str, Any]]]] = {part: [] for part in PARTS}
    for number, split in enumerate(splits_by_position(images, dataset.shares)):
        landscape = dataset.draw(seed, number)
        place = dataset.place(number)
        landscape.image.save(folder / f"{number}.tif", tiffinfo=place.tags())
        if dataset.twins:
            landscape.image.save(folder / f"{number}.png", compress_level=1)
        asked = _questions(dataset, landscape, seed, number)
        ids = range(len(records["questions"]), len(records["questions"]) + len(asked))
        records["images"].append((split, _image_record(dataset, number, place, list(ids))))
        for i, question in zip(ids, asked, strict=True):
            records["questions"].append((split, _question_record(i, number, question)))
            records["answers"].append((split, _answer_record(i, question)))
    for split in dataset.shares:
        for part in PARTS:
            content = [
                record if theirs == split else {"id": record["id"], "active": False} for theirs, record in records[part]
            ]
            write_json(root / f"{dataset.prefix}_split_{split}_{part}.json", {part: content})


def _questions(dataset: _Set, landscape: Landscape, seed: int, number: int) -> list[Question]:
    rng = chance(seed, f"{dataset.name} questions", number)
    questions = ask(landscape, dataset.types, int(rng.integers(7, 10)), dataset.metres, rng)
    return [*questions, next_to_road(landscape)] if number == DOUBLE_SPACE else questions


def _question_record(number: int, image: int, question: Question) -> dict[str, Any]:
    return {
        "id": number, "date_added": _time(number), "img_id": image, "people_id": 0,
        "type": question.type, "question": question.text, "answers_ids": [number], "active": True,
    }  # fmt: skip


def _answer_record(number: int, question: Question) -> dict[str, Any]:
    return {
        "id": number, "date_added": _time(number), "question_id": number, "people_id": 0,
        "answer": question.answer, "active": True,
    }  # fmt: skip


def _image_record(dataset: _Set, number: int, place: Georeference, questions: list[int]) -> dict[str, Any]:
    return {
        "id": number, "date_added": _time(number),
        "original_name": f"{dataset.name}_sample_{number:05d}.tif", "sensor": dataset.sensor,
        "upperleft_map_x": place.left, "upperleft_map_y": place.top,
        "res_x": dataset.resolution, "res_y": dataset.resolution, "people_id": 0, "type": "RGB",
        "questions_ids": questions, "active": True,
    }  # fmt: skip


def _time(number: int) -> float:
    return EPOCH + number / 1024


def _utm(number: int) -> Georeference:
    """Tiles side by side, ten in a row, in the north of zone 31."""
    side = COUNTRYSIDE_SIZE * 10.0
    row, column = divmod(number, 10)
    return Georeference(
        left=600_000.0 + side * column, top=5_850_000.0 - side * row, scale=10.0,
        epsg=32631, name="WGS 84 / UTM zone 31N",
    )  # fmt: skip


def _mercator(number: int) -> Georeference:
    """Tiles side by side on the web's map, whose metres are longer than those on the ground."""
    scale = 0.1524 * MERCATOR_STRETCH
    row, column = divmod(number, 10)
    return Georeference(
        left=-8_240_000.0 + scale * BLOCK_SIZE * column, top=4_970_000.0 - scale * BLOCK_SIZE * row,
        scale=scale, epsg=3857, name="WGS 84 / Pseudo-Mercator",
    )  # fmt: skip


LOW = _Set(
    name="rsvqa_lr",
    prefix="LR",
    folder="Images_LR",
    shares={"train": 0.6, "val": 0.2, "test": 0.2},
    types=("rural_urban", "presence", "count", "comp"),
    metres=10.0,
    resolution="10m",
    sensor="S2",
    draw=lambda seed, number: countryside(chance(seed, "rsvqa_lr", number)),
    place=_utm,
    twins=False,
)

HIGH = _Set(
    name="rsvqa_hr",
    prefix="USGS",
    folder="Data",
    shares={"train": 0.6, "val": 0.15, "test": 0.15, "test_phili": 0.1},
    types=("presence", "count", "comp", "area"),
    metres=0.1524,
    resolution=".1524m",
    sensor="ULTRACAM_EAGLE_FALCON",
    draw=lambda seed, number: block(chance(seed, "rsvqa_hr", number), no_data=number == NO_DATA),
    place=_mercator,
    twins=True,
)
