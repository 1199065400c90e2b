"""Small drawings for the page of statistics, as SVG text: each says in its title what it shows.

Colours are classes of the page's style (`k0` to `k7`, `rest`), so that they suit light and dark.
"""

import math
from collections.abc import Sequence
from html import escape

from rs_gpt4v_conversion.stats._counting import Summary
from rs_gpt4v_conversion.stats.objects import MEDIUM, SMALL, SizeBin

COLOURS = 8
"""Colours of the page's style that a series may have."""

CLOSE = 300
"""Right end of a logarithmic axis below which it has three numbers a decade."""

CHARACTER = 6.2
"""Width of a letter in a drawing, pixels, about."""


def stack(parts: Sequence[tuple[str, float, str]], *, width: int, height: int = 16, whole: float | None = None) -> str:
    """A bar of parts side by side, named where there is room.

    Args:
        parts: Name, size and class of each.
        width: Of the drawing, pixels.
        height: Likewise.
        whole: The size of the drawing's width; the parts' sum if not given.
    """
    total = sum(size for _, size, _ in parts)
    scale = width / (whole or total or 1)
    drawn, x = [], 0.0
    for name, size, kind in parts:
        w = size * scale
        if w <= 0:
            continue
        drawn.append(f'<rect x="{x:.1f}" width="{max(w - 1, 0.6):.1f}" height="{height}" class="{kind}"/>')
        if len(name) * CHARACTER + 6 < w:
            drawn.append(f'<text x="{x + w / 2:.1f}" y="{height / 2:g}" class="in">{escape(name)}</text>')
        x += w
    said = ", ".join(f"{name} {size:,.0f}" for name, size, _ in parts if size)
    return _svg(width, height, said, "".join(drawn))


def bars(values: Sequence[tuple[str, float, str]], *, width: int, height: int = 16) -> str:
    """Shares from 0 to 1, each a bar from the left over the one before: give the longest first.

    Args:
        values: Name, share and class of each.
        width: Of the drawing, pixels.
        height: Likewise.
    """
    drawn = f'<rect width="{width}" height="{height}" class="well"/>' + "".join(
        f'<rect width="{share * width:.1f}" height="{height}" class="{kind}"/>' for _, share, kind in values
    )
    return _svg(width, height, ", ".join(f"{name} {share:.1%}" for name, share, _ in values), drawn)


def span(summary: Summary, *, width: int, most: float, height: int = 16) -> str:
    """Least to most as a line, 5th to 95th percentile as a bar, the median as a dot, on a logarithmic axis from 1.

    Args:
        summary: What is shown.
        width: Of the drawing, pixels.
        most: The number at its right end.
        height: Likewise.
    """
    low, p5, median, p95, high = (_log(v, width, most) for v in (
        summary.min, summary.p5, summary.median, summary.p95, summary.max))  # fmt: skip
    y = height / 2
    drawn = (
        f'<line x1="{low:.1f}" x2="{high:.1f}" y1="{y}" y2="{y}" class="axis"/>'
        f'<rect x="{p5:.1f}" y="{y - 3}" width="{max(p95 - p5, 1):.1f}" height="6" rx="2" class="k0 pale"/>'
        f'<circle cx="{median:.1f}" cy="{y}" r="3.5" class="k0"/>'
    )
    said = f"{summary.min:g} to {summary.max:g}, median {summary.median:g}, 95th percentile {summary.p95:g}"
    return _svg(width, height, said, drawn)


def scale(*, width: int, most: float, height: int = 16) -> str:
    """The axis of `span`: 1, 10, 100, ..., and where there is room also 2, 5, 20, ...."""
    steps = (1, 2, 5) if most < CLOSE else (1,)
    ticks = [s * 10**n for n in range(int(math.log10(max(most, 1))) + 1) for s in steps if s * 10**n <= most]
    drawn = "".join(f'<text x="{_log(t, width, most):.1f}" y="{height / 2:g}" class="tick">{t:,}</text>' for t in ticks)
    return _svg(width, height, "logarithmic axis", drawn)


def histogram(bins: Sequence[SizeBin], *, width: int = 460, height: int = 150) -> str:
    """Sizes in half octaves, over bands for small, medium and large."""
    filled = [n for n, b in enumerate(bins) if b.objects]
    if not filled:
        return ""
    first, last = min(filled[0], 4), max(filled[-1], len(bins) - 8)
    shown = bins[first : last + 1]
    step, floor, top = width / len(shown), height - 18, max(b.objects for b in shown)
    drawn = _bands(shown, step, floor)
    for n, b in enumerate(shown):
        h = b.objects / top * (floor - 16)
        end = "and more" if b.end is None else f"to {b.end:g}"
        drawn += (
            f'<rect x="{n * step + 1:.1f}" y="{floor - h:.1f}" width="{step - 2:.1f}" height="{h:.1f}" class="k0">'
            f"<title>{b.start:g} {end} pixels: {b.objects:,}</title></rect>"
        )
        if b.start and math.log2(b.start) % 1 < 0.01:
            drawn += f'<text x="{n * step:.1f}" y="{height - 6}" class="tick">{b.start:g}</text>'
    drawn += f'<line x1="0" x2="{width}" y1="{floor}" y2="{floor}" class="axis"/>'
    return _svg(width, height, "objects by the square root of their area in pixels", drawn, plot=True)


def _bands(bins: Sequence[SizeBin], step: float, floor: float) -> str:
    """Shades behind the bars, with the names of COCO's classes."""
    edges = [0.0, *(_place(bins, limit) * step for limit in (SMALL, MEDIUM)), len(bins) * step]
    drawn = ""
    for n, (name, left, right) in enumerate(zip(("small", "medium", "large"), edges, edges[1:], strict=False)):
        if right > left:
            shade = ' class="well"' if n % 2 else ' class="none"'
            drawn += f'<rect x="{left:.1f}" width="{right - left:.1f}" height="{floor}"{shade}/>'
            drawn += f'<text x="{(left + right) / 2:.1f}" y="8" class="tick">{name}</text>'
    return drawn


def _place(bins: Sequence[SizeBin], size: float) -> float:
    """Where a size lies among bins, in bins from the left; between two edges by its logarithm."""
    return min(max(2 * math.log2(size / bins[0].start) if bins[0].start else 2 * math.log2(size) - 1, 0), len(bins))


def grid(cells: Sequence[Sequence[int]], *, side: int = 150) -> str:
    """Shares of the ninths of an image; the fuller, the darker."""
    total, most, step = sum(map(sum, cells)), max(map(max, cells)), side / 3
    if not total:
        return ""
    drawn = ""
    for r, row in enumerate(cells):
        for c, count in enumerate(row):
            place = f'x="{c * step + 1:.1f}" y="{r * step + 1:.1f}" width="{step - 2:.1f}" height="{step - 2:.1f}"'
            drawn += f'<rect {place} rx="3" class="k0" style="fill-opacity:{0.08 + 0.5 * count / most:.2f}"/>'
            x, y = (c + 0.5) * step, (r + 0.5) * step
            drawn += f'<text x="{x:.1f}" y="{y:.1f}" class="cell">{count / total:.0%}</text>'
    return _svg(side, side, "objects by the ninth of the image that their centre lies in", drawn, plot=True)


def swatch(kind: str) -> str:
    """A square of a colour, for a legend."""
    return f'<svg viewBox="0 0 1 1" width="10" height="10"><rect width="1" height="1" class="{kind}"/></svg>'


def _log(value: float, width: int, most: float) -> float:
    inner = width - 16  # room for half a dot or number at both ends
    return 8 + inner * math.log(max(value, 1)) / math.log(max(most, 2))


def _svg(width: float, height: float, title: str, content: str, *, plot: bool = False) -> str:
    kind = ' class="plot"' if plot else ""
    return (
        f'<svg viewBox="0 0 {width:g} {height:g}" width="{width:g}" height="{height:g}" role="img"{kind}>'
        f"<title>{escape(title)}</title>{content}</svg>"
    )
