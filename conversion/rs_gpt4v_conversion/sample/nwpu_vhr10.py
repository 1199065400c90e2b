"""NWPU VHR-10: positive and negative pictures with the same names, and text files with stray blanks."""

from pathlib import Path

from rs_gpt4v_conversion.sample.field import Field, draw_field
from rs_gpt4v_conversion.sample.layout import chance

NUMBERS = {
    "airplane": 1, "ship": 2, "storage tank": 3, "tennis court": 5, "bridge": 9, "small vehicle": 10,
    "large vehicle": 10,
}  # fmt: skip
"""Numbers of the categories by the words of the drawing."""

GROUPS = (("airplane", "storage tank", "small vehicle"), ("tennis court", "large vehicle"), ("ship", "bridge"))


def write_nwpu_vhr10(root: Path, images: int, seed: int) -> None:
    """Write the text form: every fourth picture is a negative one."""
    base = root / "NWPU VHR-10 dataset"
    for name in ("positive image set", "negative image set", "ground truth"):
        (base / name).mkdir(parents=True, exist_ok=True)
    for number in range(images):
        rng = chance(seed, "nwpu_vhr10", number)
        width, height = int(rng.integers(500, 700)), int(rng.integers(420, 520))
        negative = number % 4 == 3
        field = draw_field(rng, width, height, GROUPS[number % len(GROUPS)], most=0 if negative else 6)
        kind = "negative" if negative else "positive"
        name = f"{number // 4 + 1 if negative else number - number // 4 + 1:03d}"
        field.image.save(base / f"{kind} image set" / f"{name}.jpg", quality=92)
        if not negative:
            text = _lines(field, number)
            (base / "ground truth" / f"{name}.txt").write_bytes(text.encode())


def _lines(field: Field, number: int) -> str:
    """One line a box; the first files have what the real ones have: blanks, blank lines, and one line cut short."""
    boxes = [(*(round(v) for v in thing.bbox), NUMBERS[thing.kind]) for thing in field.objects]
    form = "( {0}, {1}),( {2},{3}) , {4} " if number == 0 else "({0},{1}),({2},{3}),{4}"
    lines = [form.format(*box) for box in boxes]
    if number == 1:
        lines.append("(12,30),(41,")
    return ("\r\n\r\n" if number == 0 else "\r\n").join(lines) + "\r\n  \r\n"
