"""A draft and its image become a row of the contract's columns."""

from typing import Any

from rs_gpt4v_conversion.images import ReleaseImage
from rs_gpt4v_conversion.records import Draft, Object, Pair

TAG = "<image>\n"
"""LLaVA's image tag, at the head of a row's first human turn."""


def row(draft: Draft, image: ReleaseImage) -> dict[str, Any]:
    """Make the row that the contract's FEATURES describe."""
    return {
        "id": draft.id,
        "image": {"bytes": image.data, "path": draft.image.image_id + image.suffix},
        "conversations": conversations(draft.pairs),
        "pairs": [_pair(pair) for pair in draft.pairs],
        "task": draft.task,
        "source": draft.source,
        "modality": draft.modality,
        "objects": [_object(item) for item in draft.objects],
        "width": image.width,
        "height": image.height,
        "gsd": draft.image.gsd,
        "image_path": draft.image.image_path,
        "parent": "",
        "window": [],
        "scale": 1.0,
        "crs": "",
        "bounds": [],
        "image_sha256": image.image_sha256,
        "source_sha256": image.source_sha256,
        "source_id": draft.image.source_id,
        "license": draft.license,
    }


def conversations(pairs: tuple[Pair, ...]) -> list[dict[str, str]]:
    """LLaVA's form: human and gpt in turn, the image tag before the first question only."""
    turns = []
    for number, pair in enumerate(pairs):
        question = pair.question if number else TAG + pair.question
        turns.append({"from": "human", "value": question})
        turns.append({"from": "gpt", "value": pair.answer})
    return turns


def _pair(pair: Pair) -> dict[str, Any]:
    return {
        "category": pair.category,
        "dialogue": pair.dialogue,
        "template": pair.template,
        "generator": pair.generator,
        "review": pair.review,
        "objects": list(pair.objects),
    }


def _object(item: Object) -> dict[str, Any]:
    return {
        "category": item.category,
        "bbox": list(item.bbox or ()),
        "obb": list(item.obb or ()),
        "difficult": item.difficult,
        "ignore": item.ignore,
    }
