"""Twelve overhead scenes: each draws a picture and says in words what it drew."""

import math
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
from PIL import Image

from rs_gpt4v_conversion.sample import things
from rs_gpt4v_conversion.sample.canvas import (
    SHADOW,
    UNITS,
    Canvas,
    Colour,
    noise,
    placed,
    rectangle,
    varied,
)
from rs_gpt4v_conversion.sample.things import ASPHALT, CONCRETE, LEAVES, MARKING, SAND, WATER

GRASS: Colour = (96, 116, 70)


@dataclass(frozen=True, slots=True, kw_only=True)
class Scene:
    """A finished picture and what is in it."""

    theme: str
    image: Image.Image
    words: dict[str, str] = field(default_factory=dict)  # what captions put in their gaps


def draw(theme: str, size: int, rng: np.random.Generator) -> Scene:
    """Draw a scene of a theme as a square picture.

    Args:
        theme: One of `THEMES`.
        size: Width and height, pixels.
        rng: Source of all chance in the picture.
    """
    canvas = Canvas(size, GRASS, rng)
    words = THEMES[theme](canvas)
    return Scene(theme=theme, image=canvas.finish(), words=words)


def number_word(count: int) -> str:
    """A count as people write it in captions: nobody counts beyond six."""
    words = ("no", "one", "two", "three", "four", "five", "six")
    return words[count] if count < len(words) else "many"


def _airport(canvas: Canvas) -> dict[str, str]:
    rng = canvas.rng
    canvas.rectangle(128, 128, 256, 256, 0, varied(rng, (178, 174, 166)))
    for at in range(0, 256, 16):  # the slabs of the apron
        canvas.line([(at, 0), (at, 256)], 0.5, (160, 156, 150))
        canvas.line([(0, at), (256, at)], 0.5, (160, 156, 150))
    canvas.rectangle(128, 226, 256, 60, 0, GRASS)
    canvas.rectangle(128, 226, 256, 32, 0, ASPHALT)
    canvas.dashes((4, 226), (256, 226), 1.6, 12, MARKING)
    canvas.line([(0, 184), (256, 184)], 1.2, (206, 176, 70))  # taxiway
    things.flat_building(canvas, 128, 22, 264, 40, 0, (200, 202, 204))
    count = int(rng.integers(2, 7))
    step = 220 / count
    for i in range(count):
        x = 18 + step * (i + 0.5)
        canvas.line([(x, 60), (x, 184)], 0.9, (206, 176, 70))
        canvas.rectangle(x + 7, 50, 5, 24, 0, (150, 154, 158))  # the bridge to the gate
        things.plane(canvas, x, 88 + float(rng.uniform(-3, 3)), -math.pi / 2, min(1.5, step / 32))
    if rng.random() < 0.6:
        things.plane(canvas, float(rng.uniform(60, 200)), 146, math.pi * int(rng.integers(2)), 1.2)
        count += 1
    return {"planes": number_word(count)}


def _farmland(canvas: Canvas) -> dict[str, str]:
    rng = canvas.rng
    turn = float(rng.uniform(-0.5, 0.5))
    palettes: dict[str, tuple[Colour, ...]] = {
        "green": ((92, 124, 62), (74, 106, 54), (112, 138, 78)),
        "yellow": ((170, 156, 94), (150, 140, 84), (184, 170, 116)),
        "brown": ((132, 106, 80), (116, 94, 72), (150, 124, 94)),
    }
    first, second = (str(c) for c in rng.choice(list(palettes), 2, replace=False))
    y = -110.0
    while y < 366:
        height = float(rng.uniform(38, 62))
        x = -110.0
        while x < 366:
            width = float(rng.uniform(46, 100))
            name = first if rng.random() < 0.65 else second
            colour = varied(rng, palettes[name][int(rng.integers(3))])
            middle = (x + width / 2 - 128, y + height / 2 - 128)
            [(cx, cy)] = placed([middle], 128, 128, turn)
            plot = placed(rectangle(*middle, width - 2, height - 2), 128, 128, turn)
            canvas.polygon(plot, colour)
            if -40 < cx < 296 and -40 < cy < 296 and rng.random() < 0.7:
                along = turn + (math.pi / 2 if rng.random() < 0.5 else 0)
                dark = tuple(int(c * 0.88) for c in colour)
                canvas.furrows(plot, along, float(rng.uniform(2.5, 4)), dark)
            x += width
        y += height
    ends = placed([(-220, 8), (220, 8)], 128, 128, turn)
    canvas.line(ends, 6, (176, 162, 136))
    for at in np.arange(-170, 170, 14):
        if rng.random() < 0.5:
            [(tx, ty)] = placed([(float(at), 16)], 128, 128, turn)
            things.tree(canvas, tx, ty, float(rng.uniform(3, 5)))
    return {"first": first, "second": second}


def _residential(canvas: Canvas) -> dict[str, str]:
    rng = canvas.rng
    turn = float(rng.uniform(-0.35, 0.35))
    roof = str(rng.choice(list(things.ROOFS)))
    roads = int(rng.integers(1, 3))
    middles = [0.0] if roads == 1 else [-62.0, 62.0]
    for offset in middles:
        start, end = placed([(-220, offset), (220, offset)], 128, 128, turn)
        things.road(canvas, start, end, 15)
    for offset in middles:
        for side in (-1, 1):
            for along in np.arange(-170, 171, 34):
                _garden(canvas, float(along), offset, side, turn, roof)
        for along in np.arange(-150, 151, 50):
            if rng.random() < 0.6:
                lane = 4 * int(rng.choice([-1, 1]))
                [(x, y)] = placed([(float(along), offset + lane)], 128, 128, turn)
                things.car(canvas, x, y, turn)
    if roads == 1:  # there is room for trees beyond the gardens
        for beyond in (-104, 104):
            [(_, y)] = placed([(0, beyond)], 128, 128, turn)
            things.wood(canvas, 26, (0, y - 8, UNITS, y + 8), 7)
    return {"roof": roof, "roads": "a road" if roads == 1 else "two roads"}


def _garden(canvas: Canvas, along: float, offset: float, side: int, turn: float, roof: str) -> None:
    """A house beside the road, its drive and its trees."""
    rng = canvas.rng
    away = offset + side * float(rng.uniform(31, 35))
    [(x, y)] = placed([(along, away)], 128, 128, turn)
    drive = placed([(along + 11, offset + side * 8), (along + 11, away)], 128, 128, turn)
    canvas.line(drive, 4, CONCRETE)
    kind = roof if rng.random() < 0.8 else str(rng.choice(list(things.ROOFS)))
    colour = varied(rng, things.ROOFS[kind])
    w, h = float(rng.uniform(20, 26)), float(rng.uniform(15, 20))
    things.house(canvas, x, y, w, h, turn, colour)
    for _ in range(2):
        place = (along + float(rng.uniform(-17, 17)), away + side * float(rng.uniform(14, 22)))
        [(tx, ty)] = placed([place], 128, 128, turn)
        things.tree(canvas, tx, ty, float(rng.uniform(3, 5.5)))


def _port(canvas: Canvas) -> dict[str, str]:
    rng = canvas.rng
    colour, name = _sea(canvas)
    canvas.rectangle(128, 128, 256, 256, 0, colour)
    _waves(canvas)
    canvas.rectangle(128, 24, 256, 66, 0, CONCRETE)
    canvas.line([(0, 57), (256, 57)], 2, (130, 126, 120))
    for x in np.arange(10, 250, 13):
        for y in (14.0, 22.0, 30.0):
            if rng.random() < 0.75:
                container = varied(rng, things.CONTAINERS[int(rng.integers(3))])
                canvas.rectangle(float(x) + 1, y + 1, 11, 5, 0, SHADOW)
                canvas.rectangle(float(x), y, 11, 5, 0, container)
    count = int(rng.integers(2, 8))
    for i in range(count):
        berth = 20 + (216 / count) * (i + 0.5)
        if i % 2 == 0:
            things.ship(canvas, berth, 76, math.pi / 2, min(1.35, 216 / count / 18))
        else:
            away, heading = float(rng.uniform(130, 220)), float(rng.uniform(-0.6, 0.6))
            wake = placed([(-12, 0), (-46, 9), (-46, -9)], berth, away, heading)
            canvas.polygon(wake, (226, 234, 236, 46))
            things.ship(canvas, berth, away, heading, 1.2)
    return {"ships": number_word(count), "water": name}


def _sea(canvas: Canvas) -> tuple[Colour, str]:
    seas: tuple[tuple[Colour, str], ...] = (
        ((28, 60, 52), "dark green"), ((42, 80, 122), "blue"), ((72, 122, 106), "green"),
    )  # fmt: skip
    return seas[int(canvas.rng.integers(len(seas)))]


def _waves(canvas: Canvas) -> None:
    fine = noise(canvas.rng, 128, 128, cells=24, octaves=2)
    canvas.tint((150, 176, 180), np.maximum(fine - 0.25, 0) * 0.4)


def _tennis(canvas: Canvas) -> dict[str, str]:
    rng = canvas.rng
    count = int(rng.integers(2, 5))
    turn = float(rng.uniform(-0.12, 0.12))
    surfaces: tuple[tuple[Colour, str], ...] = (
        ((58, 100, 138), "blue"), ((150, 84, 62), "red"), ((70, 112, 76), "green"),
    )  # fmt: skip
    colour, name = surfaces[int(rng.integers(3))]
    rows = [(-38, i) for i in range(min(count, 2))] + [(38, i) for i in range(count - 2)]
    columns = min(count, 2)
    canvas.rectangle(128, 118, 190, 168 if count > 2 else 92, turn, (124, 130, 122))
    for row, i in rows:
        place = ((i - (columns - 1) / 2) * 92, row if count > 2 else 0)
        [(x, y)] = placed([place], 128, 118, turn)
        things.tennis_court(canvas, x, y, turn, 88, colour)
    things.road(canvas, (-10, 232), (266, 226), 16)
    for i in range(4):
        things.car(canvas, 24 + 62 * i + float(rng.uniform(-12, 12)), 226 - i, 0)
    things.wood(canvas, 26, (0, 2, 256, 16), 7)
    things.wood(canvas, 10, (0, 20, 14, 205), 7)
    things.wood(canvas, 10, (242, 20, 256, 205), 7)
    return {"courts": number_word(count), "surface": name}


def _forest(canvas: Canvas) -> dict[str, str]:
    rng = canvas.rng
    canvas.rectangle(128, 128, 256, 256, 0, (48, 70, 40))
    things.wood(canvas, 620, (-6, -6, 262, 262), 8)
    kind = ("path", "stream", "clearing")[int(rng.integers(3))]
    if kind == "clearing":
        x, y = rng.uniform(80, 176, 2)
        canvas.polygon(things.blob(canvas, float(x), float(y), 40), (118, 126, 82))
    else:
        colour, width = ((168, 154, 126), 5.0) if kind == "path" else (WATER, 11.0)
        phase, lean = float(rng.uniform(0, 6)), float(rng.uniform(-50, 50))
        course = [(float(t), 128 + lean * (t - 128) / 128 + 22 * math.sin(t / 34 + phase)) for t in range(-8, 270, 4)]
        canvas.line([(x + 2, y + 2) for x, y in course], width + 2, SHADOW)
        canvas.line(course, width, colour)
    return {"feature": f"a {kind}"}


def _bridge(canvas: Canvas) -> dict[str, str]:
    rng = canvas.rng
    colour, name = _sea(canvas)
    phase = float(rng.uniform(0, 6))
    banks = [[(float(t), middle + 8 * math.sin(t / 46 + phase)) for t in range(-8, 268, 6)] for middle in (76, 182)]
    canvas.polygon([*banks[0], *reversed(banks[1])], colour)
    for bank in banks:
        canvas.line(bank, 5, (168, 156, 128))
    things.wood(canvas, 90, (0, 0, 256, 58), 7)
    things.wood(canvas, 90, (0, 206, 256, 256), 7)
    lean = float(rng.uniform(-30, 30))
    start, end = (128 - lean, -10.0), (128 + lean, 266.0)
    turn = math.atan2(end[1] - start[1], end[0] - start[0])
    canvas.line([(start[0] + 9, start[1] + 6), (end[0] + 9, end[1] + 6)], 26, (14, 22, 30, 120))
    canvas.line([start, end], 27, (196, 192, 184))
    canvas.line([start, end], 22, ASPHALT)
    canvas.dashes(start, end, 1, 7, MARKING)
    cars = int(rng.integers(2, 7))
    for i in range(cars):
        along = (i + 0.5) / cars
        side = 5.5 if i % 2 else -5.5
        x = start[0] + along * (end[0] - start[0]) + side
        things.car(canvas, x, start[1] + along * (end[1] - start[1]), turn)
    return {"water": name, "cars": number_word(cars)}


def _parking(canvas: Canvas) -> dict[str, str]:
    rng = canvas.rng
    canvas.rectangle(128, 140, 244, 214, 0, ASPHALT)
    for row, y in enumerate((58, 92, 146, 180, 234)):
        head = y + (9 if row % 2 else -9)
        canvas.line([(12, head), (244, head)], 0.8, MARKING)
        for x in np.arange(14, 246, 11):
            canvas.line([(float(x), y - 9), (float(x), y + 9)], 0.7, MARKING)
            if x < 240 and rng.random() < 0.72:
                heading = math.pi / 2 * (1 if rng.random() < 0.5 else -1)
                things.car(canvas, float(x) + 5.5, y + float(rng.uniform(-1, 1)), heading, 12)
    things.wood(canvas, 7, (20, 118, 236, 121), 5)
    roof = ("white", "grey", "brown")[int(rng.integers(3))]
    things.flat_building(canvas, 128, 14, 200, 34, 0, things.ROOFS[roof])
    return {"roof": roof}


def _tanks(canvas: Canvas) -> dict[str, str]:
    rng = canvas.rng
    canvas.rectangle(128, 128, 256, 256, 0, varied(rng, (156, 146, 128)))
    count = int(rng.integers(2, 10))
    columns = 3 if count > 4 else 2
    rows = math.ceil(count / columns)
    radius = min(230 / columns, 190 / rows) * 0.36
    for i in range(count):
        x = 128 + (i % columns - (columns - 1) / 2) * 230 / columns
        y = 112 + (i // columns - (rows - 1) / 2) * 190 / rows
        canvas.rectangle(x, y, radius * 2.6, radius * 2.6, 0, (138, 128, 112))
        canvas.line([(x, y + radius), (x, 216)], 1.5, (190, 190, 188))  # pipe
        things.tank(canvas, x, y, radius * float(rng.uniform(0.85, 1)))
    things.road(canvas, (-10, 236), (266, 236), 18)
    things.wood(canvas, 14, (0, 0, 256, 8), 6)
    return {"tanks": number_word(count)}


def _beach(canvas: Canvas) -> dict[str, str]:
    rng = canvas.rng
    colour, name = _sea(canvas)
    canvas.rectangle(128, 128, 256, 256, 0, colour)
    _waves(canvas)
    phase, lean = float(rng.uniform(0, 6)), float(rng.uniform(-40, 40))
    steps = range(-8, 268, 4)
    waves = [9 * math.sin(t / 30 + phase) + 3 * math.sin(t / 9) for t in steps]
    shore = [120 + lean * (t - 128) / 128 + w for t, w in zip(steps, waves, strict=True)]
    shallows, foam, wet = (96, 142, 142, 150), (226, 232, 230), (176, 158, 124)
    for reach, tone in ((26, shallows), (9, foam), (3, wet), (-4, SAND)):
        edge = [(float(t), y - reach) for t, y in zip(steps, shore, strict=True)]
        canvas.polygon([*edge, (270, 270), (-10, 270)], tone)
    grass = [(float(t), y + 62) for t, y in zip(steps, shore, strict=True)]
    canvas.polygon([*grass, (270, 270), (-10, 270)], GRASS)
    umbrellas = int(rng.integers(3, 12))
    for _ in range(umbrellas):
        i = int(rng.integers(6, len(shore) - 6))
        x, y = float(steps[i]), shore[i] + float(rng.uniform(14, 48))
        canvas.disc(x + 1.5, y + 1.5, 3, SHADOW)
        canvas.disc(x, y, 3, ((220, 80, 60), (236, 236, 230), (70, 110, 180))[int(rng.integers(3))])
    for t, y in list(zip(steps, shore, strict=True))[::2]:
        things.tree(canvas, t + float(rng.uniform(-3, 3)), y + float(rng.uniform(68, 100)), 7)
    return {"water": name, "umbrellas": number_word(umbrellas)}


def _baseball(canvas: Canvas) -> dict[str, str]:
    rng = canvas.rng
    turn = float(rng.choice([0, 1, 2, 3])) * math.pi / 2 + float(rng.uniform(-0.2, 0.2))
    [(hx, hy)] = placed([(0, 74)], 128, 128, turn)
    fan = [(150 * math.sin(a), 74 - 150 * math.cos(a)) for a in np.linspace(-0.8, 0.8, 30)]
    canvas.polygon(placed([(0, 84), *fan], 128, 128, turn), (186, 160, 122))
    inner = [(142 * math.sin(a), 74 - 142 * math.cos(a)) for a in np.linspace(-0.785, 0.785, 30)]
    lawn = placed([(0, 74), *inner], 128, 128, turn)
    canvas.polygon(lawn, (104, 138, 70))
    canvas.furrows(lawn, turn, 9, (96, 128, 64))
    dirt = [(64 * math.sin(a), 74 - 64 * math.cos(a)) for a in np.linspace(-0.85, 0.85, 24)]
    canvas.polygon(placed([(0, 80), *dirt], 128, 128, turn), (178, 138, 98))
    canvas.polygon(placed([(0, 66), (24, 42), (0, 18), (-24, 42)], 128, 128, turn), (108, 142, 74))
    for point in placed([(0, 74), (32, 42), (0, 10), (-32, 42)], 128, 128, turn):
        canvas.rectangle(*point, 3, 3, turn + 0.78, (240, 240, 236))
    canvas.disc(*placed([(0, 42)], 128, 128, turn)[0], 4, (178, 138, 98))
    for end in ((99, -25), (-99, -25)):
        canvas.line([(hx, hy), *placed([end], 128, 128, turn)], 0.9, (238, 238, 232))
    stands = ("two small stands", "a path")[int(rng.integers(2))]
    if stands == "a path":
        canvas.line(placed([(-150, 104), (150, 104)], 128, 128, turn), 6, CONCRETE)
    else:
        for x in (-42, 42):
            [(sx, sy)] = placed([(x, 84)], 128, 128, turn)
            things.house(canvas, sx, sy, 30, 10, turn + (0.78 if x < 0 else -0.78), (196, 196, 192))
    for side in (-118, 118):
        for y in np.arange(-110, 70, 15):
            [(tx, ty)] = placed([(side + float(rng.uniform(-6, 6)), float(y))], 128, 128, turn)
            things.tree(canvas, tx, ty, float(rng.uniform(5, 9)))
    return {"stands": stands}


def _pond(canvas: Canvas) -> dict[str, str]:
    rng = canvas.rng
    colour, name = _sea(canvas)
    x, y = (float(v) for v in rng.uniform(108, 148, 2))
    state = rng.bit_generator.state
    canvas.polygon(things.blob(canvas, x, y, 84), CONCRETE)
    rng.bit_generator.state = state  # the same outline again, smaller: the path follows the shore
    canvas.polygon(things.blob(canvas, x, y, 79), (88, 112, 64))
    rng.bit_generator.state = state
    shore = things.blob(canvas, x, y, 66)
    canvas.polygon(shore, colour)
    canvas.line([*shore, shore[0]], 2, (152, 142, 112))
    for _ in range(110):
        angle, reach = float(rng.uniform(0, math.tau)), float(rng.uniform(102, 190))
        things.tree(canvas, x + reach * math.cos(angle), y + reach * math.sin(angle), 6.5)
    canvas.disc(x + 14, y + 6, 13, LEAVES)
    things.wood(canvas, 9, (x + 6, y - 2, x + 22, y + 14), 5)
    return {"water": name}


THEMES: dict[str, Callable[[Canvas], dict[str, str]]] = {
    "airport": _airport,
    "farmland": _farmland,
    "residential": _residential,
    "port": _port,
    "tennis": _tennis,
    "forest": _forest,
    "bridge": _bridge,
    "parking": _parking,
    "tanks": _tanks,
    "beach": _beach,
    "baseball": _baseball,
    "pond": _pond,
}
"""The scenes by name: a function draws on the canvas and returns the words for its captions."""
