"""What stands, lies and moves in the scenes, seen from above, its shadow to the lower right."""

import math

from rs_gpt4v_conversion.sample.canvas import (
    SHADOW,
    Canvas,
    Colour,
    Point,
    moved,
    placed,
    rectangle,
    varied,
)

ASPHALT: Colour = (104, 104, 106)
CONCRETE: Colour = (172, 168, 160)
MARKING: Colour = (224, 222, 212)
LEAVES: Colour = (44, 74, 40)
WATER: Colour = (46, 78, 88)
SAND: Colour = (206, 186, 148)
SHADED = 0.78  # brightness of a roof's side that faces away from the sun

ROOFS: dict[str, Colour] = {
    "red": (160, 78, 62),
    "grey": (128, 128, 130),
    "brown": (128, 98, 76),
    "white": (206, 204, 198),
}
CARS: tuple[Colour, ...] = (
    (226, 226, 226), (40, 42, 46), (150, 34, 32), (44, 70, 124), (160, 162, 166),
)  # fmt: skip
CONTAINERS: tuple[Colour, ...] = ((168, 66, 50), (58, 92, 138), (196, 158, 72))

PLANE = (
    (16, 0), (13, 1.7), (4, 2), (-4, 14), (-7, 14), (-3, 2), (-11, 1.4), (-14, 5), (-16, 5),
    (-14.5, 0), (-16, -5), (-14, -5), (-11, -1.4), (-3, -2), (-7, -14), (-4, -14), (4, -2),
    (13, -1.7),
)  # fmt: skip
"""Outline of an airliner of 32 by 28 units, nose to the right."""

HULL = ((12, 0), (7, 3.4), (-11, 3.4), (-12, 2.6), (-12, -2.6), (-11, -3.4), (7, -3.4))
"""Outline of a ship of 24 by 7 units, bow to the right."""


def tree(canvas: Canvas, x: float, y: float, radius: float) -> None:
    """A round crown, lit from the upper left."""
    colour = varied(canvas.rng, LEAVES)
    canvas.disc(x + radius * 0.4, y + radius * 0.4, radius, SHADOW)
    canvas.disc(x, y, radius, colour)
    bright = tuple(c + 22 for c in colour)
    canvas.disc(x - radius * 0.25, y - radius * 0.25, radius * 0.55, bright)


def house(canvas: Canvas, x: float, y: float, w: float, h: float, turn: float, roof: Colour) -> None:
    """A gabled roof with its ridge along the width."""
    height = min(w, h) * 0.28
    canvas.polygon(moved(rectangle(x, y, w, h, turn), height, height), SHADOW)
    canvas.rectangle(x, y, w, h, turn, roof)
    dark = tuple(int(c * SHADED) for c in roof)
    canvas.polygon(placed([(-w / 2, 0), (w / 2, 0), (w / 2, h / 2), (-w / 2, h / 2)], x, y, turn), dark)


def flat_building(canvas: Canvas, x: float, y: float, w: float, h: float, turn: float, roof: Colour) -> None:
    """A flat roof with a parapet and ventilation on it."""
    canvas.polygon(moved(rectangle(x, y, w, h, turn), 5, 5), SHADOW)
    canvas.rectangle(x, y, w, h, turn, tuple(int(c * SHADED) for c in roof))
    canvas.rectangle(x, y, w - 2, h - 2, turn, roof)
    for _ in range(int(w * h / 320)):
        place = (canvas.rng.uniform(-0.38, 0.38) * w, canvas.rng.uniform(-0.38, 0.38) * h)
        [(ux, uy)] = placed([place], x, y, turn)
        canvas.rectangle(ux + 0.8, uy + 0.8, 3, 3, turn, SHADOW)
        canvas.rectangle(ux, uy, 3, 3, turn, (196, 198, 200))


def car(canvas: Canvas, x: float, y: float, turn: float, length: float = 8.0) -> None:
    """A car with its windscreen."""
    width = length * 0.45
    colour = CARS[int(canvas.rng.integers(len(CARS)))]
    canvas.polygon(moved(rectangle(x, y, length, width, turn), 0.8, 0.8), SHADOW)
    canvas.rectangle(x, y, length, width, turn, colour)
    [(wx, wy)] = placed([(length * 0.16, 0)], x, y, turn)
    canvas.rectangle(wx, wy, length * 0.16, width * 0.8, turn, (58, 66, 76))


def plane(canvas: Canvas, x: float, y: float, turn: float, scale: float) -> None:
    """An airliner."""
    outline = placed(PLANE, x, y, turn, scale)
    canvas.polygon(moved(outline, 2.2 * scale, 2.2 * scale), SHADOW)
    canvas.polygon(outline, (232, 234, 236))
    canvas.line(placed([(-13, 0), (14, 0)], x, y, turn, scale), 2.6 * scale, (246, 246, 246))
    for side in (-6.0, 6.0):
        engine = placed([(-2, side), (1, side)], x, y, turn, scale)
        canvas.line(engine, 1.6 * scale, (120, 126, 134))


def ship(canvas: Canvas, x: float, y: float, turn: float, scale: float) -> None:
    """A ship with a light deck and a bridge."""
    outline = placed(HULL, x, y, turn, scale)
    canvas.polygon(moved(outline, scale, scale), SHADOW)
    hulls: tuple[Colour, ...] = ((196, 196, 190), (140, 60, 50), (70, 84, 104))
    canvas.polygon(outline, hulls[int(canvas.rng.integers(len(hulls)))])
    deck = [(0.82 * px, 0.7 * py) for px, py in HULL]
    canvas.polygon(placed(deck, x, y, turn, scale), (214, 208, 194))
    [(bx, by)] = placed([(-7.5, 0)], x, y, turn, scale)
    canvas.rectangle(bx, by, 4 * scale, 4.4 * scale, turn, (244, 244, 242))


def tank(canvas: Canvas, x: float, y: float, radius: float) -> None:
    """A white storage tank with a ring and a stair."""
    canvas.disc(x + radius * 0.3, y + radius * 0.3, radius, SHADOW)
    canvas.disc(x, y, radius, (222, 222, 218))
    canvas.arc(x, y, radius * 0.94, radius * 0.1, (188, 190, 190))
    canvas.line([(x, y), (x + radius * 0.9, y)], radius * 0.07, (150, 150, 150))


def tennis_court(canvas: Canvas, x: float, y: float, turn: float, length: float, colour: Colour) -> None:
    """A court with its lines and net, the long side along the width."""
    width = length * 0.56
    canvas.rectangle(x, y, length, width, turn, (98, 128, 92))
    inner, across = length * 0.76, width * 0.66
    canvas.rectangle(x, y, inner, across, turn, colour)
    lines: list[list[Point]] = [
        [*rectangle(0, 0, inner, across), (-inner / 2, -across / 2)],
        *([(-inner / 2, d), (inner / 2, d)] for d in (-across * 0.37, across * 0.37)),
        *([(d, -across * 0.37), (d, across * 0.37)] for d in (-inner * 0.27, inner * 0.27)),
        [(-inner * 0.27, 0), (inner * 0.27, 0)],
    ]
    for points in lines:
        canvas.line(placed(points, x, y, turn), 0.7, (236, 236, 232))
    canvas.line(placed([(0, -width * 0.42), (0, width * 0.42)], x, y, turn), 1.0, (40, 44, 48))


def road(canvas: Canvas, start: Point, end: Point, width: float) -> None:
    """A straight road with kerbs and a broken middle line."""
    canvas.line([start, end], width + 2.5, (150, 148, 142))
    canvas.line([start, end], width, ASPHALT)
    canvas.dashes(start, end, 0.9, 6, MARKING)


def wood(canvas: Canvas, count: int, box: tuple[float, float, float, float], radius: float) -> None:
    """Trees at random places of a box (left, top, right, bottom), the nearer ones on top."""
    left, top, right, bottom = box
    ys = sorted(float(y) for y in canvas.rng.uniform(top, bottom, count))
    for y in ys:
        x = float(canvas.rng.uniform(left, right))
        tree(canvas, x, y, radius * float(canvas.rng.uniform(0.7, 1.25)))


def blob(canvas: Canvas, x: float, y: float, radius: float, ripple: float = 0.16) -> list[Point]:
    """Outline of a pond or a wood: a circle out of shape."""
    phases = canvas.rng.uniform(0, math.tau, 3)
    outline = []
    for step in range(72):
        angle = math.tau * step / 72
        bumps = sum(math.sin(n * angle + float(p)) / n for n, p in enumerate(phases, start=2))
        reach = radius * (1 + ripple * bumps)
        outline.append((x + reach * math.cos(angle), y + reach * math.sin(angle)))
    return outline
