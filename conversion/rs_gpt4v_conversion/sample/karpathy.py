"""The four caption sources: RSICD, UCM-Captions, Sydney-Captions, RSITMD.

They share the JSON form of Karpathy's splits and differ in names, images, the look of a sentence,
and in their flaws, which readers have to survive. A flaw sits on an image of train that every
sample has, whatever its size.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, TiffImagePlugin

from rs_gpt4v_conversion.sample.captions import (
    CAPTIONS,
    capitalised,
    distinct_captions,
    padded_captions,
)
from rs_gpt4v_conversion.sample.layout import chance, splits_by_position, write_json
from rs_gpt4v_conversion.sample.scene import THEMES, Scene, draw

THREE_SPLITS = {"train": 0.6, "val": 0.2, "test": 0.2}
TWO_SPLITS = {"train": 0.8, "test": 0.2}

CLASSES = {
    "airport": "Airport", "farmland": "Farmland", "residential": "MediumResidential",
    "port": "Port", "tennis": "playfields", "forest": "Forest", "bridge": "Bridge",
    "parking": "Parking", "tanks": "StorageTanks", "beach": "Beach", "baseball": "BaseballField",
    "pond": "Pond",
}  # fmt: skip
"""RSICD's scene classes, spelt as its class files are (one is not in CamelCase)."""

SYDNEY_THEMES = ("residential", "airport", "port", "bridge", "tanks", "farmland")

DOUBLE_SPACE, FLAWED = 0, 1  # images of train in a sample of any size
RSITMD_BLANK, RSITMD_BLANK_FROM = 2, 8  # which image is blank, in samples of how many
UCM_ODD_HEIGHT = 242  # pixels; the set's own odd ones differ as little


@dataclass(frozen=True, slots=True)
class _Picture:
    """One image of a source, drawn, and the chance for its captions."""

    number: int
    scene: Scene
    rng: np.random.Generator


def write_rsicd(root: Path, images: int, seed: int) -> None:
    """Write RSICD: captions padded to five, numeric names, class files."""
    records: list[dict[str, Any]] = []
    classes: dict[str, list[str]] = {}
    folder = _folder(root / "RSICD_images")
    for number, split in enumerate(splits_by_position(images, THREE_SPLITS)):
        picture = _picture("rsicd", 224, number, seed)
        sentences = [f"{s} ." for s in padded_captions(picture.scene, picture.rng)]
        if number == DOUBLE_SPACE:
            sentences[0] = sentences[0].replace(" ", "  ", 1)
        if number == FLAWED:
            sentences[3] = " ."
        scene_class = CLASSES[picture.scene.theme]
        # Nine of a hundred names in RSICD are numbers, so the class files alone know their class
        numeric = number % 4 == 2
        name = f"{number + 15:05d}.jpg" if numeric else f"{scene_class.lower()}_{number + 1}.jpg"
        classes.setdefault(scene_class, []).append(name)
        records.append(
            {
                "filename": name, "imgid": number, "sentences": _sentences(number, sentences),
                "split": split, "sentids": _sentids(number),
            }
        )  # fmt: skip
        exif = Image.Exif()
        exif[0x0112] = 1  # an orientation that says: as it is
        picture.scene.image.save(folder / name, quality=85, exif=exif)
    write_json(root / "dataset_rsicd.json", {"images": records, "dataset": "rsicd"})
    for scene_class, names in classes.items():
        path = _folder(root / "txtclasses_rsicd") / f"{scene_class}.txt"
        path.write_bytes("".join(f"{name}\n" for name in sorted(names)).encode())


def write_ucm_captions(root: Path, images: int, seed: int) -> None:
    """Write UCM-Captions: tokens that disagree with the text, an image of odd size."""
    records: list[dict[str, Any]] = []
    folder = _folder(root / "imgs")
    for number, split in enumerate(splits_by_position(images, THREE_SPLITS)):
        picture = _picture("ucm_captions", 256, number, seed)
        texts = [f"{capitalised(s)} ." for s in padded_captions(picture.scene, picture.rng)]
        sentences = _sentences(number, texts)
        if number % 5 == DOUBLE_SPACE:
            sentences[0]["tokens"][-1] = _misspelt(sentences[0]["tokens"][-1])
        if number % 5 == FLAWED:
            sentences[1]["tokens"].append("")
        records.append(_tabbed_record(number, split, sentences, _sentids(number)))
        image = picture.scene.image
        if number == FLAWED:
            image = image.crop((0, 0, image.width, UCM_ODD_HEIGHT))
        image.save(folder / f"{number + 1}.tif", tiffinfo=_editor_tags())
    write_json(root / "dataset.json", {"images": records, "dataset": "UCM"}, indent="\t")


def write_sydney_captions(root: Path, images: int, seed: int) -> None:
    """Write Sydney-Captions: 500 pixels, PackBits, sentence ids that are wrong once."""
    records: list[dict[str, Any]] = []
    folder = _folder(root / "imgs")
    for number, split in enumerate(splits_by_position(images, THREE_SPLITS)):
        picture = _picture("sydney_captions", 500, number, seed, SYDNEY_THEMES)
        texts = [f"{capitalised(s)} ." for s in padded_captions(picture.scene, picture.rng)]
        sentences = _sentences(number, texts)
        if number == FLAWED:
            for sentence in sentences:
                sentence["sentid"] += CAPTIONS
            sentences[2]["tokens"].append("")
        records.append(_tabbed_record(number, split, sentences, _sentids(number)))
        picture.scene.image.save(folder / f"{number + 1}.tif", compression="packbits")
    write_json(root / "dataset.json", {"images": records, "dataset": "Sydney"}, indent="\t")


def write_rsitmd(root: Path, images: int, seed: int) -> None:
    """Write RSITMD: no validation split, full sentences, one image without any."""
    records: list[dict[str, Any]] = []
    folder = _folder(root / "images")
    for number, split in enumerate(splits_by_position(images, TWO_SPLITS)):
        picture = _picture("rsitmd", 256, number, seed)
        texts = distinct_captions(picture.scene, CAPTIONS, picture.rng)
        # Some full stops are missing, and one sentence begins with a blank
        raw = [capitalised(s) + ("" if picture.rng.random() < 0.06 else ".") for s in texts]
        if number == FLAWED:
            raw[1] = f" {raw[1]}"
        if number == RSITMD_BLANK and images >= RSITMD_BLANK_FROM:
            raw = [""] * CAPTIONS
        name = f"{CLASSES[picture.scene.theme].lower()}_{number + 451}.tif"
        records.append(
            {
                "filename": name, "imgid": number, "sentences": _sentences(number, raw),
                "split": split, "sentids": _sentids(number),
            }
        )  # fmt: skip
        picture.scene.image.save(folder / name)
    write_json(root / "dataset_RSITMD.json", {"images": records, "dataset": "rsitmd"})


def _picture(source: str, size: int, number: int, seed: int, themes: tuple[str, ...] = tuple(THEMES)) -> _Picture:
    """Draw an image; the themes follow each other from a start that the seed decides."""
    start = int(chance(seed, f"{source} themes", 0).integers(len(themes)))
    theme = themes[(start + number) % len(themes)]
    scene = draw(theme, size, chance(seed, source, number))
    return _Picture(number, scene, chance(seed, f"{source} captions", number))


def _sentences(number: int, texts: list[str]) -> list[dict[str, Any]]:
    return [
        {
            "tokens": text.replace(",", "").removesuffix(".").split(),
            "raw": text, "imgid": number, "sentid": sentid,
        }
        for sentid, text in zip(_sentids(number), texts, strict=True)
    ]  # fmt: skip


def _sentids(number: int) -> list[int]:
    return list(range(number * CAPTIONS, (number + 1) * CAPTIONS))


def _tabbed_record(number: int, split: str, sentences: list[dict[str, Any]], sentids: list[int]) -> dict[str, Any]:
    """A record of the two older files, which name an image by its position plus one."""
    return {
        "sentids": sentids, "imgid": number, "sentences": sentences, "split": split,
        "filename": f"{number + 1}.tif",
    }  # fmt: skip


def _misspelt(word: str) -> str:
    """The word with two letters in the wrong order, or doubled where it is too short for that."""
    return word[:-2] + word[-1] + word[-2] if word[-2:-1] != word[-1:] else word + word[-1]


def _editor_tags() -> TiffImagePlugin.ImageFileDirectory_v2:
    """What an image editor leaves in a TIFF: its name and an XMP packet."""
    tags = TiffImagePlugin.ImageFileDirectory_v2()
    tags[305] = "rs-gpt4v sample"
    tags.tagtype[700] = 1  # bytes
    tags[700] = b'<x:xmpmeta xmlns:x="adobe:ns:meta/"/>'
    return tags


def _folder(path: Path) -> Path:
    path.mkdir(parents=True, exist_ok=True)
    return path
