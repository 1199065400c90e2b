"""MSAR-1.0: small radar images without a split, one of them empty, and one category under several names."""

from pathlib import Path

from rs_gpt4v_conversion.sample.field import draw_field
from rs_gpt4v_conversion.sample.layout import chance
from rs_gpt4v_conversion.sample.xml_files import Node, bndbox, size_of, write_xml

SIDE = 256  # pixels
EMPTY = 2  # the image without an object

NAMES = {"airplane": "aircraft", "ship": "ship", "bridge": "bridge"}
TANK_NAMES = ("oil tank", "oiltank", "tank")
KINDS = (("ship",), ("storage tank", "bridge", "storage tank"), ("ship", "bridge"), ("airplane", "storage tank"))


def write_msar(root: Path, images: int, seed: int) -> None:
    """Write MSAR-1.0: VOC files beside radar images."""
    base = root / "MSAR-1.0 dataset"
    (base / "JPEGImages").mkdir(parents=True, exist_ok=True)
    for number in range(images):
        most = 0 if number == EMPTY else 6
        kinds = KINDS[number % len(KINDS)]
        field = draw_field(chance(seed, "msar", number), SIDE, SIDE, kinds, most=most, radar=True)
        name = f"{number + 1:02d}"
        field.image.save(base / "JPEGImages" / f"{name}.jpg", quality=90)
        objects: list[Node] = []
        for i, thing in enumerate(field.objects):
            x1, y1, x2, y2 = (round(v) for v in thing.bbox)
            category = NAMES.get(thing.kind, TANK_NAMES[i % len(TANK_NAMES)])
            objects.append(("object", [("name", category), ("difficult", 0), bndbox(x1, y1, x2, y2)]))
        head: list[Node] = [("filename", f"{name}.jpg"), size_of(SIDE, SIDE)]
        write_xml(base / "Annotations" / f"{name}.xml", ("annotation", [*head, *objects]))
