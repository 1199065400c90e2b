"""HRRSD: images of many sizes in which only what an image was chosen for is marked."""

from pathlib import Path

from rs_gpt4v_conversion.sample.field import Field, draw_field
from rs_gpt4v_conversion.sample.layout import chance, splits_by_position
from rs_gpt4v_conversion.sample.xml_files import Node, bndbox, size_of, write_list, write_xml

SHARES = {"train": 0.4, "val": 0.3, "test": 0.3}
SIZES = ((480, 400), (360, 420), (520, 300))  # width and height, pixels
TWO_KINDS = 3  # every image of this remainder has a second category marked

NAMES = {
    "airplane": "airplane", "ship": "ship", "storage tank": "storage tank", "tennis court": "tennis court",
    "small vehicle": "vehicle", "large vehicle": "vehicle", "bridge": "bridge",
}  # fmt: skip
KINDS = (
    ("storage tank", "small vehicle", "storage tank"),
    ("airplane", "large vehicle", "airplane"),
    ("bridge", "small vehicle"),
    ("tennis court", "airplane", "tennis court", "small vehicle"),
)


def write_hrrsd(root: Path, images: int, seed: int) -> None:
    """Write HRRSD: VOC files, the official lists, and a list of every category in every split."""
    base = root / "OPT2017"
    (base / "JPEGImages").mkdir(parents=True, exist_ok=True)
    splits = splits_by_position(images, SHARES)
    marked: dict[str, set[str]] = {}
    for number in range(images):
        width, height = SIZES[number % len(SIZES)]
        kinds = KINDS[number % len(KINDS)]
        field = draw_field(chance(seed, "hrrsd", number), width, height, kinds)
        name = f"{number + 1:05d}"
        chosen = kinds[:2] if number % len(KINDS) == TWO_KINDS else kinds[:1]
        objects = _objects(field, chosen)
        marked[name] = {NAMES[thing.kind] for thing in field.objects if thing.kind in chosen}
        field.image.save(base / "JPEGImages" / f"{name}.jpg", quality=90)
        write_xml(base / "Annotations" / f"{name}.xml", ("annotation", [*_head(name, width, height), *objects]))
    _write_lists(base / "ImageSets" / "Main", splits, marked)


def _head(name: str, width: int, height: int) -> list[Node]:
    return [
        ("folder", "OPTIMAL_Z"), ("filename", f"{name}.jpg"), ("source", [("database", "drawn sample")]),
        ("owner", [("flickrid", "NULL"), ("name", "sample")]), size_of(width, height), ("segmented", 0),
    ]  # fmt: skip


def _objects(field: Field, chosen: tuple[str, ...]) -> list[Node]:
    found: list[Node] = []
    for thing in field.objects:
        if thing.kind in chosen:
            x1, y1, x2, y2 = (round(v) for v in thing.bbox)
            head: list[Node] = [("name", NAMES[thing.kind]), ("pose", "overlook"), ("truncated", 0), ("difficult", 0)]
            found.append(("object", [*head, bndbox(x1, y1, x2, y2)]))
    return found


def _write_lists(where: Path, splits: list[str], marked: dict[str, set[str]]) -> None:
    names = list(marked)
    members = {split: [n for n, s in zip(names, splits, strict=True) if s == split] for split in SHARES}
    members["trainval"] = sorted(members["train"] + members["val"])
    for split, listed in members.items():
        write_list(where / f"{split}.txt", listed)
        for category in sorted(set(NAMES.values())):
            lines = [f"{name} {'1' if category in marked[name] else '-1'}" for name in listed]
            write_list(where / f"{category}_{split}.txt", lines)
