"""FAIR1M: TIFF images in parts whose numbers begin at 0 again, rotated boxes as five points."""

from pathlib import Path

from rs_gpt4v_conversion.sample.field import Field, draw_field
from rs_gpt4v_conversion.sample.layout import chance
from rs_gpt4v_conversion.sample.xml_files import Node, size_of, write_xml

PARTS = (
    ("train/part1", "labelXml"), ("train/part2", "labelXmls"), ("validation", "labelXmls"),
    ("train/part2", "labelXmls"), ("train/part1", "labelXml"),
    ("validation", "labelXmls"), ("train/part2", "labelXmls"), ("test", ""),
)  # fmt: skip
"""Folder of images 0 to 7, and again, with that of their labels: so a larger sample moves none."""

LARGE, ANTICLOCKWISE, SEVERAL = 0, 1, 2  # images with something odd
SIZES = ((600, 520), (500, 560), (540, 540))  # width and height, pixels
LARGE_SIZE = (1120, 1060)  # more than a tile

NAMES = {
    "airplane": ("Boeing737", "A220", "other-airplane"), "ship": ("Liquid Cargo Ship", "Motorboat", "other-ship"),
    "tennis court": ("Tennis Court",), "small vehicle": ("Small Car", "Van"),
    "large vehicle": ("Cargo Truck", "Dump Truck"), "bridge": ("Bridge",),
}  # fmt: skip
KINDS = (
    ("airplane", "small vehicle", "airplane", "large vehicle"),
    ("ship", "ship", "bridge"),
    ("tennis court", "small vehicle", "large vehicle"),
    ("large vehicle", "bridge", "small vehicle"),
)


def write_fair1m(root: Path, images: int, seed: int) -> None:
    """Write FAIR1M: two parts of train, validation, and images of test without labels."""
    numbers = dict.fromkeys((place for place, _ in PARTS), 0)
    for number in range(images):
        place, labels = PARTS[number % len(PARTS)]
        width, height = LARGE_SIZE if number == LARGE else SIZES[number % len(SIZES)]
        field = draw_field(chance(seed, "fair1m", number), width, height, KINDS[number % len(KINDS)])
        name = f"{numbers[place]}.tif"
        numbers[place] += 1
        (root / place / "images").mkdir(parents=True, exist_ok=True)
        field.image.save(root / place / "images" / name)
        if labels:
            content: list[Node] = [
                ("source", [("filename", name), ("origin", "GF2/GF3")]), size_of(width, height),
                ("objects", _objects(field, number)),
            ]  # fmt: skip
            path = root / place / labels / f"{Path(name).stem}.xml"
            write_xml(path, ("annotation", content), declared=True)


def _objects(field: Field, number: int) -> list[Node]:
    found: list[Node] = []
    for i, thing in enumerate(field.objects):
        corners = [thing.obb[k : k + 2] for k in range(0, 8, 2)]
        if number == ANTICLOCKWISE and i == 0:
            corners = [corners[0], *corners[:0:-1]]
        points: list[Node] = [("point", f"{x:.6f},{y:.6f}") for x, y in [*corners, corners[0]]]
        names = NAMES[thing.kind]
        results: list[Node] = [("possibleresult", [("name", names[i % len(names)])])]
        if number == SEVERAL and i == 0:
            results = [
                ("possibleresult", [("name", "Bridge"), ("probability", 0.2)]),
                ("possibleresult", [("name", names[0]), ("probability", 0.8)]),
            ]
        head: list[Node] = [("coordinate", "pixel"), ("type", "rectangle"), ("description", "None")]
        found.append(("object", [*head, *results, ("points", points)]))
    return found
