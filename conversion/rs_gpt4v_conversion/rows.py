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
        "objects": [_object(item, number, image.scale) for number, item in enumerate(draft.objects)],
        "width": image.width,
        "height": image.height,
        "gsd": None if draft.image.gsd is None else draft.image.gsd / image.scale,
        "image_path": draft.image.image_path,
        "parent": draft.image.parent or (draft.image.image_id if image.scale != 1 else ""),
        "window": list(draft.image.window or ()),
        "scale": image.scale,
        "crs": image.crs,
        "bounds": list(image.bounds),
        "rendering": image.rendering,
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


def _object(item: Object, position: int, scale: float) -> dict[str, Any]:
    """An object in pixels of the row's image: `scale` is that image's against the annotated one."""
    return {
        "category": item.category,
        "bbox": [v * scale for v in item.bbox or ()],
        "obb": [v * scale for v in item.obb or ()],
        "difficult": item.difficult,
        "ignore": item.ignore,
        "number": item.number if item.number >= 0 else position,
        "iof": item.iof,
    }
