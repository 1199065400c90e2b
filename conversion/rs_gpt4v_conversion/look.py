"""Rows as a person wants to see them: one HTML page with picture, drawn boxes and conversation."""

import base64
import bisect
import difflib
import json
from collections import Counter, defaultdict
from collections.abc import Sequence
from html import escape
from itertools import zip_longest
from pathlib import Path
from typing import Any

from rs_gpt4v_conversion.errors import UsageError
from rs_gpt4v_conversion.naming import hash64
from rs_gpt4v_conversion.pages import filled, save
from rs_gpt4v_conversion.release import ReleaseFolder
from rs_gpt4v_conversion.rows import TAG

FIRST = 12
"""Pairs of a row that are shown at once; the rest unfolds."""

COLOURS = (
    "#ff5a52", "#2dd4bf", "#facc15", "#60a5fa", "#f472b6", "#a3e635", "#fb923c", "#c084fc", "#22d3ee", "#fda4af",
)  # fmt: skip
"""Of the first categories on a page; each stands out from vegetation, water and asphalt."""

SMALL = 400
"""Pixels below which a picture is enlarged so much that its own pixels should stay sharp."""

CANDIDATES = 8
"""Rows of a task with boxes among which `pick` looks for one that has objects."""

NEIGHBOURS = 300
"""Ids on either side of an unknown one, in alphabetical order, among which a near one is looked for."""

Row = dict[str, Any]


def pick(release: ReleaseFolder, count: int) -> list[str]:
    """Choose rows of all tasks, sources and splits in turn, by the hash of their ids.

    Args:
        release: The folder.
        count: How many at most.

    Raises:
        UsageError: The index cannot be read.
    """
    parts: dict[tuple[str, str, str], list[str]] = defaultdict(list)
    for line in release.index(("id", "task", "source", "split")).to_pylist():
        parts[line["task"], line["source"], line["split"]].append(line["id"])
    for part, ids in parts.items():
        ids.sort(key=lambda i: hash64(i, "look"))
        if part[0] == "grounding":
            ids[:CANDIDATES] = _with_objects_first(release, ids[:CANDIDATES])
    order = _turns(list(parts))
    chosen: list[str] = []
    while len(chosen) < count and any(parts.values()):
        chosen += [parts[part].pop(0) for part in order if parts[part]]
    return sorted(chosen[:count])


def _turns(parts: list[tuple[str, str, str]]) -> list[tuple[str, str, str]]:
    """The first split of every task and source, then the second of each, ..., in an order that no name decides."""
    parts.sort(key=lambda p: hash64("/".join(p), "look"))
    seen: Counter[tuple[str, str]] = Counter()
    rank = {}
    for part in parts:
        rank[part] = seen[part[:2]]
        seen[part[:2]] += 1
    return sorted(parts, key=lambda p: rank[p])


def _with_objects_first(release: ReleaseFolder, ids: list[str]) -> list[str]:
    rows = release.find(ids, ("objects",))
    return sorted(ids, key=lambda i: not rows[i]["objects"])


def write_page(release: ReleaseFolder, ids: Sequence[str], out: Path) -> None:
    """Write the page.

    Nothing outside it is needed to show it: pictures are in it, as the release holds them. A row that breaks the
    contract is shown as far as it goes, since that is when one wants to see it.

    Args:
        release: The folder.
        ids: Of the rows, in the order they shall be shown.
        out: The page's file.

    Raises:
        UsageError: An id is not in the release, or the page cannot be written.
    """
    found = release.find(ids)
    unknown = [i for i in ids if i not in found]
    if unknown:
        raise UsageError(f"{release.path}: {_unknown(release, unknown)}")
    rows = [found[i] for i in dict.fromkeys(ids)]
    colours = _colours(rows)
    parts = {
        "title": escape(f"RS-GPT4V {release.manifest.get('version', '')}".strip()),
        "count": f"{len(rows):,} row{'' if len(rows) == 1 else 's'}",
        "contents": _contents(rows),
        "rows": "\n".join(_row(row, n, colours) for n, row in enumerate(rows)),
    }
    save(filled("look.html", parts), out)


def _unknown(release: ReleaseFolder, unknown: list[str]) -> str:
    """A sentence about ids that are not there: the first few, each with a near one."""
    known = sorted(i for i in release.index(("id",))["id"].to_pylist() if i)
    said = []
    for record in unknown[:3]:
        at = bisect.bisect(known, record)
        # the same image under another task, source or split is as near as a neighbour in the alphabet
        namesakes = [i for i in known if i.rsplit("/", 1)[-1] == record.rsplit("/", 1)[-1]][:NEIGHBOURS]
        near = [*known[max(at - NEIGHBOURS, 0) : at + NEIGHBOURS], *namesakes]
        match = difflib.get_close_matches(record, near, n=1, cutoff=0.3)
        said.append(f"{record} (did you mean {match[0]}?)" if match else record)
    more = f" and {len(unknown) - len(said)} more" if len(unknown) > len(said) else ""
    return f"no row has the id {', '.join(said)}{more}"


def _contents(rows: list[Row]) -> str:
    """Links to the rows, by task."""
    tasks: dict[str, list[str]] = defaultdict(list)
    for number, row in enumerate(rows):
        text = " · ".join([*row["id"].split("/")[:2], row["id"].split("/", 3)[-1]])
        tasks[row["task"] or "no task"].append(f'<li><a href="#row-{number}">{escape(text)}</a></li>')
    groups = (f"<section><h2>{escape(task)}</h2><ul>{''.join(links)}</ul></section>" for task, links in tasks.items())
    return "".join(groups) if len(rows) > 1 else ""


def _colours(rows: list[Row]) -> dict[str, str]:
    """A colour for every category on the page, the same in all rows; the most frequent ones get the best."""
    counts = Counter(_category(item) for row in rows for item in row["objects"] or ())
    order = sorted(counts, key=lambda c: (-counts[c], c))
    # beyond the chosen colours, hues a golden angle apart never come close to their neighbours
    return {c: COLOURS[n] if n < len(COLOURS) else f"hsl({n * 137.5 % 360:.0f} 85% 65%)" for n, c in enumerate(order)}


def _category(item: Row | None) -> str:
    return (item or {}).get("category") or "no category"


def _row(row: Row, number: int, colours: dict[str, str]) -> str:
    source, split, task, image = (*row["id"].split("/", 3), "", "", "")[:4]
    tags = "".join(f"<span>{escape(tag)}</span>" for tag in (row["task"] or task, row["source"] or source, split))
    return (
        f'<article id="row-{number}"><div class="picture"><div class="stay">{_picture(row, colours)}'
        f"{_legend(row, colours)}{_provenance(row)}</div></div>"
        f'<div class="text"><header><p class="tags">{tags}</p><h2>{escape(image or row["id"])}</h2>'
        f"<p><code>{escape(row['id'])}</code></p></header>{_conversation(row)}</div></article>"
    )


def _picture(row: Row, colours: dict[str, str]) -> str:
    width, height = row["width"] or 1, row["height"] or 1
    data = (row["image"] or {}).get("bytes")
    shapes = _shapes(row, colours)
    drawing = f'<svg viewBox="0 0 {width} {height}">{shapes}</svg>' if shapes else ""
    if data is None:
        return (
            f'<figure class="none" style="aspect-ratio:{width}/{height}">{drawing}'
            "<figcaption>The release does not carry this image.</figcaption></figure>"
        )
    kind = "jpeg" if data[:2] == b"\xff\xd8" else "png"
    source = f"data:image/{kind};base64,{base64.b64encode(data).decode()}"
    sharp = ' class="sharp"' if max(width, height) < SMALL else ""
    return (
        f'<figure><img src="{source}" width="{width}" height="{height}" alt="{escape(row["id"])}"{sharp}>'
        f"{drawing}</figure>"
    )


def _shapes(row: Row, colours: dict[str, str]) -> str:
    """All objects as SVG, large ones first: one inside another stays within reach of the pointer."""
    radius = max(row["width"] or 1, row["height"] or 1) / 300
    numbered = [(n, item or {}) for n, item in enumerate(row["objects"] or ())]
    numbered.sort(key=lambda pair: -_extent(pair[1]))
    return "".join(_shape(n, item, radius, colours[_category(item)]) for n, item in numbered)


def _extent(item: Row) -> float:
    xs, ys = _corners(item)[0::2], _corners(item)[1::2]
    return (max(xs) - min(xs)) * (max(ys) - min(ys)) if xs and ys else 0.0


def _corners(item: Row) -> list[float]:
    return [v or 0.0 for v in item.get("obb") or item.get("bbox") or ()]


def _shape(number: int, item: Row, radius: float, colour: str) -> str:
    flags = "".join(f", {flag}" for flag in ("difficult", "ignore") if item.get(flag))
    inner = f"<title>object {number}: {escape(_category(item))}{flags}</title>"
    bbox, obb = item.get("bbox") or (), [v or 0.0 for v in item.get("obb") or ()]
    if len(bbox) == 4:
        x1, y1, x2, y2 = (v or 0.0 for v in bbox)
        kind = "bbox thin" if obb else "bbox"
        size = f'width="{max(x2 - x1, 0):.2f}" height="{max(y2 - y1, 0):.2f}"'
        inner += f'<rect x="{x1:.2f}" y="{y1:.2f}" {size} class="{kind}"/>'
    if obb:
        points = " ".join(f"{x:.2f},{y:.2f}" for x, y in zip(obb[0::2], obb[1::2], strict=False))
        inner += f'<polygon points="{points}" class="obb"/>'
        inner += f'<circle cx="{obb[0]:.2f}" cy="{obb[1] if len(obb) > 1 else 0:.2f}" r="{radius:.2f}" class="first"/>'
    ignored = " ignored" if item.get("ignore") else ""
    return f'<g class="object{ignored}" data-object="{number}" style="--c:{colour}">{inner}</g>'


def _legend(row: Row, colours: dict[str, str]) -> str:
    counts = Counter(_category(item) for item in row["objects"] or ())
    items = "".join(
        f'<li style="--c:{colours[category]}">{escape(category)} <b>{counts[category]:,}</b></li>'
        for category in sorted(counts, key=lambda c: (-counts[c], c))
    )
    return f'<ul class="legend">{items}</ul>' if items else ""


def _conversation(row: Row) -> str:
    turns = [turn or {} for turn in row["conversations"] or ()]
    pairs = [pair or {} for pair in row["pairs"] or ()]
    shown, last = [], None
    for number, (question, answer, pair) in enumerate(zip_longest(turns[::2], turns[1::2], pairs)):
        dialogue = (pair or {}).get("dialogue")
        shown.append(_pair(number, question or {}, answer or {}, pair or {}, follows=number > 0 and dialogue == last))
        last = dialogue
    rest = "".join(shown[FIRST:])
    more = f'<details><summary>{len(shown) - FIRST} more pairs</summary><ol class="pairs">{rest}</ol></details>'
    return f'<ol class="pairs">{"".join(shown[:FIRST])}</ol>{more if rest else ""}'


def _pair(number: int, question: Row, answer: Row, pair: Row, *, follows: bool) -> str:
    objects = " ".join(map(str, pair.get("objects") or ()))
    kind = ' class="follows"' if follows else ""
    facts = "".join(
        f"<span>{escape(str(text))}</span>"
        for text in (
            f"dialogue {pair.get('dialogue')}", pair.get("template"), pair.get("generator"), pair.get("review"),
        )
        if text
    )  # fmt: skip
    return (
        f'<li{kind} data-objects="{objects}" tabindex="0"><span class="number">{number + 1}</span>'
        f'<div><p class="q">{_text(question)}</p><p class="a">{_text(answer)}</p>'
        f'<p class="facts"><b>{escape(pair.get("category") or "no category")}</b>{facts}</p></div></li>'
    )


def _text(turn: Row) -> str:
    value = turn.get("value") or ""
    return escape(value.removeprefix(TAG)).replace("\n", "<br>") or "<em>nothing</em>"


def _provenance(row: Row) -> str:
    """What is known of the image, in small print; empty facts are left out."""
    gsd = "" if row["gsd"] is None else f"{row['gsd']:g} m a pixel"
    window = " ".join(map(str, row["window"] or ()))
    facts = {
        "size": ", ".join(filter(None, (f"{row['width']} × {row['height']} pixels", gsd, row["modality"]))),
        "file": row["source_id"],
        "in the paper": row["image_path"],
        "cut from": ", ".join(filter(None, (row["parent"], window and f"window {window}"))),
        "rendered": row["rendering"],
        "on the ground": ", ".join(filter(None, (row["crs"], json.dumps(row["bounds"]) if row["bounds"] else ""))),
        "licence": row["license"],
    }
    shown = "".join(f"<dt>{what}</dt><dd>{escape(fact)}</dd>" for what, fact in facts.items() if fact)
    digests = {row["image_sha256"] or "": "image", row["source_sha256"] or "": "source file"}
    if row["image_sha256"] == row["source_sha256"]:
        digests = {row["image_sha256"] or "": "the source's own bytes"}
    for digest, of in digests.items():
        if digest:
            shown += f'<dt>sha256</dt><dd title="{escape(digest)}"><code>{escape(digest[:12])}…</code> {of}</dd>'
    return f"<dl>{shown}</dl>"
