"""RSIVQA: text files of questions about images of five collections, most of them HRRSD's."""

from collections import Counter
from pathlib import Path

import numpy as np

from rs_gpt4v_conversion.sample.field import Field, draw_field
from rs_gpt4v_conversion.sample.layout import chance, splits_by_position
from rs_gpt4v_conversion.sample.scene import THEMES, Scene, draw

LEAST_HRRSD = 3
SHARES = {"train": 0.7, "test": 0.3}  # of HRRSD's images

HRRSD = {
    "airplane": "airplane", "ship": "ship", "storage tank": "storage tank", "tennis court": "tennis court",
    "bridge": "bridge", "small vehicle": "vehicle",
}  # fmt: skip
DOTA = {
    "airplane": "plane", "ship": "ship", "storage tank": "storage tank", "tennis court": "tennis court",
    "bridge": "bridge", "small vehicle": "small vehicle", "large vehicle": "large vehicle",
}  # fmt: skip
"""What a collection calls the things that we draw."""

THEME = "what is the theme of this picture"


def write_rsivqa(root: Path, images: int, seed: int) -> None:
    """Write RSIVQA: images of HRRSD, and one for each other file as far as the number of images goes.

    A line is there twice, the questions of one file have lost their nouns, and most lines have a blank too many.
    """
    others = (_ucm, _rsicd, _sydney, _dota_train, _dota_val)
    count = max(LEAST_HRRSD, images - len(others))
    _hrrsd(root, count, seed)
    for write in others[: images - count]:
        write(root, seed)


def _hrrsd(root: Path, images: int, seed: int) -> None:
    lines: list[str] = []
    lists: dict[str, list[str]] = {split: [] for split in SHARES}
    folder = _folder(root / "OPT2017" / "JPEGImages")
    for number, split in enumerate(splits_by_position(images, SHARES)):
        rng = chance(seed, "rsivqa hrrsd", number)
        width, height = (int(v) for v in rng.integers(240, 400, 2))
        kinds = [str(kind) for kind in rng.permutation(list(HRRSD))[:3]]
        field = draw_field(rng, width, height, kinds)
        name = f"{number + 1:05d}"
        field.image.save(folder / f"{name}.jpg", quality=85)
        lists[split].append(name)
        asked = _objects(name, field, HRRSD, rng)
        lines += [*asked, asked[-1]] if number == 0 else asked
    for split, names in lists.items():
        _write(root / "OPT2017" / "ImageSets" / "Main" / f"{split}.txt", names)
    _write(root / "HRRSD" / "opt_val_vqa.txt", lines)


def _objects(name: str, field: Field, words: dict[str, str], rng: np.random.Generator) -> list[str]:
    """How many there are of each kind; whether they are there, and as often whether something is that is not."""
    counts = Counter(words[thing.kind] for thing in field.objects)
    absent = [str(word) for word in rng.permutation([w for w in words.values() if w not in counts])]
    lines = [f"{name}: how many {word}s are there in this picture?{count}" for word, count in counts.items()]
    for present, missing in zip(counts, absent, strict=False):
        lines.append(f"{name}: does this picture contain {present}?yes")
        lines.append(f"{name}: does this picture contain {missing}?no")
    return lines


def _dota_train(root: Path, seed: int) -> None:
    _dota(root, seed, "P0000", "dota_train_vqa2.txt")


def _dota_val(root: Path, seed: int) -> None:
    _dota(root, seed, "P0003", "dota_val_vqa2.txt")


def _dota(root: Path, seed: int, name: str, file: str) -> None:
    rng = chance(seed, f"rsivqa dota {name}", 0)
    field = draw_field(rng, 320, 360, [str(kind) for kind in rng.permutation(list(DOTA))[:3]])
    field.image.save(_folder(root / "DOTA" / "images") / f"{name}.png", compress_level=1)
    _write(root / "DOTA" / file, _objects(name, field, DOTA, rng))


def _rsicd(root: Path, seed: int) -> None:
    scene = _scene("rsicd", 224, seed)
    name = f"{scene.theme}_1.jpg"
    scene.image.save(_folder(root / "AID" / "RSICD_images") / name, quality=85)
    _write(root / "AID" / "rsicd_vqa.txt", [f"{name}:{THEME}?{scene.theme}"])


def _sydney(root: Path, seed: int) -> None:
    scene = _scene("sydney", 500, seed)
    scene.image.save(_folder(root / "Sydney" / "imgs") / "1.tif", compression="packbits")
    _write(root / "Sydney" / "sydney_vqa.txt", [f"1.tif:{THEME}?{scene.theme}"])


def _ucm(root: Path, seed: int) -> None:
    """One image in both of its files: the one written by people has words for numbers and questions without noun."""
    scene = _scene("ucm", 256, seed)
    scene.image.save(_folder(root / "UCM" / "imgs") / "1.tif")
    _write(root / "UCM" / "ucm_vqa.txt", [f"1.tif:{THEME}?{scene.theme}"])
    planes = scene.words.get("planes", "zero")
    asked = (
        f"W{THEME[1:]}?{scene.theme}",
        f"Does this picture contain an airplane?{'yes' if scene.theme == 'airport' else 'no'} ",
        f"How many airplanes in the picture?{planes}",
        "How many  in the picture?zero",
        "What is the location of the  in this picture?i cannot see it",
    )
    _write(root / "UCM" / "ucm_res.txt", [f"1.tif:{line}" for line in asked])


def _scene(collection: str, size: int, seed: int) -> Scene:
    rng = chance(seed, f"rsivqa {collection}", 0)
    return draw(str(rng.choice(list(THEMES))), size, rng)


def _write(path: Path, lines: list[str]) -> None:
    _folder(path.parent)
    path.write_bytes("".join(f"{line}\n" for line in lines).encode())


def _folder(path: Path) -> Path:
    path.mkdir(parents=True, exist_ok=True)
    return path
