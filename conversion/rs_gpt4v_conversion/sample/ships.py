"""SSDD, HRSID and SARDet-100K: radar pictures with annotations in COCO's form, and SSDD's rotated boxes in XML."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rs_gpt4v_conversion.sample.field import Field, Marked, draw_field
from rs_gpt4v_conversion.sample.layout import chance, write_json

SHIP = {"supercategory": None, "id": 1, "name": "ship"}

HRSID_FIRST_ID = 20180000001
"""More than 32 bits, as some of HRSID's files have it."""

CROP = 600
"""Pixels from one HRSID crop to the next: they overlap."""

SARDET = ("ship", "aircraft", "car", "tank", "bridge", "harbor")

KINDS = {"ship": "ship", "airplane": "aircraft", "small vehicle": "car", "storage tank": "tank", "bridge": "bridge"}
"""SARDet-100K's words by those of the drawing."""

SETS = (("ship",), ("airplane",), ("storage tank", "bridge"), ("small vehicle",))
"""What the datasets that it merges looked for."""


def write_ssdd(root: Path, images: int, seed: int) -> None:
    """Write SSDD's richest folder, with XML and JSON, and the file of all images in one."""
    base = root / "BBox_RBox_PSeg_SSDD"
    files: dict[str, dict[str, Any]] = {s: _ssdd_file() for s in ("train", "test", "all")}
    for number in range(images):
        rng = chance(seed, "ssdd", number)
        width, height = int(rng.integers(280, 460)), int(rng.integers(220, 380))
        field = draw_field(rng, width, height, ("ship",), most=5, radar=True)
        name = f"{number + 1:06d}"
        split = "test" if name[-1] in "19" else "train"
        path = base / f"voc_style/JPEGImages_{split}/{name}.jpg"
        path.parent.mkdir(parents=True, exist_ok=True)
        field.image.save(path, quality=92)
        label = base / f"voc_style/Annotations_{split}/{name}.xml"
        label.parent.mkdir(parents=True, exist_ok=True)
        label.write_bytes(_ssdd_xml(name, field).encode())
        for key in (split, "all"):
            _add_ssdd(files[key], f"{name}.jpg", field)
    for split in ("train", "test"):
        write_json(base / f"coco_style/annotations/{split}.json", files[split])
    write_json(root / "SSDD.json", files["all"])


def _ssdd_file() -> dict[str, Any]:
    info = {"description": None, "url": None, "version": "drawn sample", "year": 2026, "date_created": None}
    return {
        "info": info, "licenses": [{"url": None, "id": 0, "name": None}], "images": [], "type": "instances",
        "annotations": [], "categories": [SHIP],
    }  # fmt: skip


def _add_ssdd(content: dict[str, Any], name: str, field: Field) -> None:
    """Enter one picture: its ships have outlines, here of five points."""
    number = len(content["images"])
    content["images"].append(
        {
            "license": 0, "url": None, "file_name": name, "height": field.image.height, "width": field.image.width,
            "date_captured": None, "id": number,
        }
    )  # fmt: skip
    for thing in field.objects:
        x, y, w, h = map(float, _xywh(thing))
        content["annotations"].append(
            {
                "id": len(content["annotations"]), "image_id": number, "category_id": 1,
                "segmentation": [_outline(thing)], "area": round(thing.w * thing.h, 1), "bbox": [x, y, w, h],
                "iscrowd": 0,
            }
        )  # fmt: skip


def _ssdd_xml(name: str, field: Field) -> str:
    objects = "".join(_ssdd_object(thing, back=i == 1) for i, thing in enumerate(field.objects))
    size = f"<width>{field.image.width}</width><height>{field.image.height}</height><depth>3</depth>"
    return (
        f"<annotation>\n\t<folder>JPEGImages</folder>\n\t<filename>{name}.jpg</filename>\n\t<size>{size}</size>\n"
        f"\t<segmented>0</segmented>\n{objects}</annotation>\n"
    )


def _ssdd_object(thing: Marked, *, back: bool) -> str:
    """One ship; a box counts its last row and column, and the second one's corners run backwards."""
    x, y, w, h = _xywh(thing)
    corners = [(round(thing.obb[i]), round(thing.obb[i + 1])) for i in range(0, 8, 2)]
    if back:
        corners.reverse()
    points = "".join(f"<x{i}>{px}</x{i}><y{i}>{py}</y{i}>" for i, (px, py) in enumerate(corners, 1))
    return (
        "\t<object>\n\t\t<name>ship</name>\n\t\t<pose>Unspecified</pose>\n\t\t<difficult>0</difficult>\n"
        f"\t\t<bndbox><xmin>{x}</xmin><ymin>{y}</ymin><xmax>{x + w - 1}</xmax><ymax>{y + h - 1}</ymax></bndbox>\n"
        f"\t\t<rotated_bndbox>{points}</rotated_bndbox>\n\t</object>\n"
    )


def write_hrsid(root: Path, images: int, seed: int) -> None:
    """Write HRSID: crops of one scene are in both splits, and one box has no area."""
    base = root / "HRSID_JPG"
    (base / "JPEGImages").mkdir(parents=True, exist_ok=True)
    files: dict[str, dict[str, Any]] = {split: {"images": [], "annotations": []} for split in ("train2017", "test2017")}
    for number in range(images):
        field = draw_field(chance(seed, "hrsid", number), 800, 800, ("ship",), most=6, radar=True)
        left = CROP * (number % 4)
        name = f"P{9001 + number // 4:04d}_0_800_{left}_{left + 800}.jpg"
        field.image.save(base / "JPEGImages" / name, quality=92)
        content = files["test2017" if number % 4 == 3 else "train2017"]
        content["images"].append({"id": HRSID_FIRST_ID + number, "file_name": name, "width": 800, "height": 800})
        for thing in field.objects:
            _add_hrsid(content, HRSID_FIRST_ID + number, _xywh(thing))
    train = files["train2017"]
    train["annotations"][1]["ignore"] = 1
    _add_hrsid(train, train["images"][1]["id"], [0, 0, 0, 0])
    for box in files["test2017"]["annotations"]:
        box["bbox"] = [float(v) for v in box["bbox"]]
    files["test2017"].update(info={"description": "drawn sample"}, licenses=[])  # the other file has neither
    for name, content in files.items():
        content["type"] = "instances"
        content["categories"] = [{"supercategory": "none", "id": 0, "name": "ship"}]
        write_json(base / "annotations" / f"{name}.json", content)


def _add_hrsid(content: dict[str, Any], image: int, box: Sequence[int]) -> None:
    """Enter one ship, with its upright box for an outline."""
    x, y, w, h = box
    content["annotations"].append(
        {
            "segmentation": [[x, y, x, y + h, x + w, y + h, x + w, y]], "area": w * h, "iscrowd": 0, "ignore": 0,
            "image_id": image, "bbox": [x, y, w, h], "category_id": 0, "id": len(content["annotations"]) + 1,
        }
    )  # fmt: skip


def write_sardet_100k(root: Path, images: int, seed: int) -> None:
    """Write SARDet-100K: pictures of several sets and forms, one box of an image that is not listed."""
    files: dict[str, dict[str, Any]] = {split: {"images": [], "annotations": []} for split in ("train", "val", "test")}
    for number in range(images):
        split = ("train", "train", "val", "test")[number % 4]
        kinds = SETS[number // 2 % len(SETS)]
        field = draw_field(chance(seed, "sardet_100k", number), 512, 512, kinds, most=5, radar=True)
        name = f"{9000000 + number:07d}.{'png' if number % 2 else 'jpg'}"
        path = root / "JPEGImages" / split / name
        path.parent.mkdir(parents=True, exist_ok=True)
        field.image.save(path, quality=92, compress_level=1)
        content = files[split]
        image = len(content["images"])
        content["images"].append({"file_name": name, "height": 512, "width": 512, "id": image})
        for thing in field.objects:
            _add_sardet(content, image, SARDET.index(KINDS[thing.kind]), _xywh(thing))
    _add_sardet(files["train"], images, 0, [10, 10, 20, 20])
    _add_sardet(files["train"], 0, 0, [40, 40, -12, 8])
    _add_sardet(files["test"], 0, 4, [30, 30, 200, 150])
    files["test"]["annotations"][-1]["iscrowd"] = 1
    for split, content in files.items():
        content["categories"] = [{"id": i, "name": name, "supercategory": name} for i, name in enumerate(SARDET)]
        write_json(root / "Annotations" / f"{split}.json", content)


def _add_sardet(content: dict[str, Any], image: int, category: int, box: Sequence[int]) -> None:
    x, y, w, h = map(float, box)
    content["annotations"].append(
        {
            "id": len(content["annotations"]), "image_id": image, "category_id": category, "bbox": [x, y, w, h],
            "area": w * h, "iscrowd": 0, "segmentation": [],
        }
    )  # fmt: skip


def _xywh(thing: Marked) -> list[int]:
    """Left, top, width and height of the smallest upright box of whole pixels around a thing."""
    x1, y1, x2, y2 = thing.bbox
    left, top = int(x1), int(y1)
    return [left, top, int(x2) + 1 - left, int(y2) + 1 - top]


def _outline(thing: Marked) -> list[float]:
    """The corners, and the middle of the side between the last and the first."""
    points = (*thing.obb, (thing.obb[6] + thing.obb[0]) / 2, (thing.obb[7] + thing.obb[1]) / 2)
    return [round(v, 2) for v in points]
