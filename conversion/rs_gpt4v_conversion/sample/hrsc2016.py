"""HRSC2016: ships as centre, sides and a turn in radians, with a mark at the bow; images are BMP."""

import math
from pathlib import Path

from rs_gpt4v_conversion.sample.field import Marked, draw_field
from rs_gpt4v_conversion.sample.layout import chance, splits_by_position
from rs_gpt4v_conversion.sample.xml_files import Node, write_list, write_xml

SHARES = {"train": 0.5, "val": 0.2, "test": 0.3}
SIZES = ((460, 300), (420, 340))  # width and height, pixels
EMPTY, DIFFICULT, UNMARKED = 1, 2, 0  # the image without a ship, with a difficult one, with one without a mark
FIRST_ID = 100000001
CODES = (100000018, 100000001, 100000007, 100000003, 100000018)  # container ship, ship, destroyer, warcraft


def write_hrsc2016(root: Path, images: int, seed: int) -> None:
    """Write HRSC2016: one XML file an image, lists of every split and of train with val."""
    base = root / "FullDataSet"
    (base / "AllImages").mkdir(parents=True, exist_ok=True)
    names = [str(FIRST_ID + number) for number in range(images)]
    for number, name in enumerate(names):
        width, height = SIZES[number % len(SIZES)]
        most = 0 if number == EMPTY else 5
        field = draw_field(chance(seed, "hrsc2016", number), width, height, ("ship",), most=most)
        field.image.save(base / "AllImages" / f"{name}.bmp")
        ships = [_ship(thing, i, number, name) for i, thing in enumerate(field.objects)]
        head: list[Node] = [
            ("Img_ID", name), ("Img_FileName", name), ("Img_FileFmt", "bmp"), ("Img_SizeWidth", width),
            ("Img_SizeHeight", height), ("Img_SizeDepth", 3), ("Img_Resolution", 1.07), ("Annotated", 1),
        ]  # fmt: skip
        path = base / "Annotations" / f"{name}.xml"
        write_xml(path, ("HRSC_Image", [*head, ("HRSC_Objects", ships)]), declared=True)
    splits = splits_by_position(images, SHARES)
    members = {split: [n for n, s in zip(names, splits, strict=True) if s == split] for split in SHARES}
    members["trainval"] = members["train"] + members["val"]
    for split, listed in members.items():
        write_list(root / "ImageSets" / f"{split}.txt", listed)


def _ship(thing: Marked, item: int, number: int, name: str) -> Node:
    x1, y1, x2, y2 = (round(v) for v in thing.bbox)
    # the set's turns are a quarter either way, so the bow is at one end of the box or at the other
    turn = (thing.angle + math.pi / 2) % math.pi - math.pi / 2
    bow = (thing.cx + thing.w / 2 * math.cos(thing.angle), thing.cy + thing.w / 2 * math.sin(thing.angle))
    marked = not (number == UNMARKED and item == 0)
    return (
        "HRSC_Object",
        [
            ("Object_ID", f"{name}{item:03d}"), ("Class_ID", CODES[(number + item) % len(CODES)]), ("truncated", 0),
            ("difficult", int(number == DIFFICULT and item == 0)),
            ("box_xmin", x1), ("box_ymin", y1), ("box_xmax", x2), ("box_ymax", y2),
            ("mbox_cx", round(thing.cx, 4)), ("mbox_cy", round(thing.cy, 4)), ("mbox_w", round(thing.w, 4)),
            ("mbox_h", round(thing.h, 4)), ("mbox_ang", round(turn, 7)), ("segmented", 0),
            ("header_x", round(bow[0]) if marked else 0), ("header_y", round(bow[1]) if marked else 0),
        ],
    )  # fmt: skip
