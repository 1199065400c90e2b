"""NWPU-Captions: a file keyed by scene class, and folders that spell the classes with blanks."""

from pathlib import Path
from typing import Any

from rs_gpt4v_conversion.sample.captions import CAPTIONS, capitalised, distinct_captions
from rs_gpt4v_conversion.sample.layout import chance, splits_by_position, write_json
from rs_gpt4v_conversion.sample.scene import THEMES, draw

SHARES = {"train": 0.6, "val": 0.2, "test": 0.2}

CLASSES = {
    "airport": "airport", "farmland": "rectangular_farmland", "residential": "medium_residential",
    "port": "harbor", "tennis": "tennis_court", "forest": "forest", "bridge": "bridge",
    "parking": "parking_lot", "tanks": "storage_tank", "beach": "beach", "baseball": "baseball_diamond",
    "pond": "lake",
}  # fmt: skip
"""RESISC45's scene classes by our themes."""

REPEATED, FLAWED = 0, 1  # images of train in a sample of any size
NO_BREAK_SPACE = "\u00a0"


def write_nwpu_captions(root: Path, images: int, seed: int) -> None:
    """Write NWPU-Captions: five keys of captions an image, one caption without a word, odd blanks."""
    themes = list(THEMES)
    start = int(chance(seed, "nwpu_captions themes", 0).integers(len(themes)))
    content: dict[str, list[dict[str, Any]]] = {}
    for number, split in enumerate(splits_by_position(images, SHARES)):
        scene = draw(themes[(start + number) % len(themes)], 256, chance(seed, "nwpu_captions", number))
        scene_class = CLASSES[scene.theme]
        sentences = distinct_captions(scene, CAPTIONS, chance(seed, "nwpu_captions captions", number))
        texts = [f"{capitalised(sentence)} ." for sentence in sentences]
        if number == REPEATED:
            texts[1] = texts[0]
            texts[2] = texts[2].replace(" ", "  ", 1)
            texts[3] = texts[3].replace(" ", NO_BREAK_SPACE, 1)
        if number == FLAWED:
            texts[4] = " ."
        name = f"{scene_class}_{number + 1:03d}.jpg"
        content.setdefault(scene_class, []).append(_record(name, number, split, texts))
        folder = root / "NWPU_images" / scene_class.replace("_", " ")
        folder.mkdir(parents=True, exist_ok=True)
        scene.image.save(folder / name, quality=85)
    write_json(root / "dataset_nwpu.json", dict(sorted(content.items())))


def _record(name: str, number: int, split: str, texts: list[str]) -> dict[str, Any]:
    keys = ["", *(f"_{i}" for i in range(1, CAPTIONS))]
    raws = {f"raw{key}": text for key, text in zip(keys, texts, strict=True)}
    ids = {f"sentids{key}": number * CAPTIONS + i for i, key in enumerate(keys)}
    return {"filename": name, "imgid": number, "split": split, **raws, **ids}
