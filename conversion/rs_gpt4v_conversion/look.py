"""Rows as a person wants to see them: one HTML page with picture, drawn boxes and conversation."""

import base64
import difflib
import importlib.resources
from collections import defaultdict
from collections.abc import Sequence
from html import escape
from pathlib import Path
from typing import Any

from rs_gpt4v_conversion.errors import UsageError
from rs_gpt4v_conversion.files import disk_trouble, write_bytes
from rs_gpt4v_conversion.naming import hash64
from rs_gpt4v_conversion.release import ReleaseFolder
from rs_gpt4v_conversion.rows import TAG

FIRST = 12
"""Pairs of a row that are shown at once; the rest unfolds."""

COLOURS = ("#ff4d4d", "#2dd4bf", "#facc15", "#60a5fa", "#f472b6", "#a3e635", "#fb923c", "#c084fc")


def pick(release: ReleaseFolder, count: int) -> list[str]:
    """Choose rows of all tasks, sources and splits in turn, by the hash of their ids.

    Args:
        release: The folder.
        count: How many at most.
    """
    parts: dict[tuple[str, str, str], list[str]] = defaultdict(list)
    index = release.index().select(["id", "task", "source", "split"])
    for line in index.to_pylist():
        parts[line["task"], line["source"], line["split"]].append(line["id"])
    for ids in parts.values():
        ids.sort(key=lambda i: hash64(i, "look"))
    order = sorted(parts, key=lambda p: hash64("/".join(p), "look"))
    seen: dict[tuple[str, str], int] = defaultdict(int)
    rank = {}
    for part in order:  # the first part of every source before the second part of any
        rank[part] = seen[part[:2]]
        seen[part[:2]] += 1
    order.sort(key=lambda p: rank[p])
    chosen: list[str] = []
    while len(chosen) < count and any(parts.values()):
        chosen += [parts[part].pop(0) for part in order if parts[part]]
    return sorted(chosen[:count])


def write_page(release: ReleaseFolder, ids: Sequence[str], out: Path) -> None:
    """Write the page.

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
        known = release.index()["id"].to_pylist()
        near = difflib.get_close_matches(unknown[0], known, n=1, cutoff=0.3)
        hint = f"; did you mean {near[0]}?" if near else ""
        raise UsageError(f"{release.path}: no row has the id {', '.join(unknown)}{hint}")
    title = f"RS-GPT4V {release.manifest['version']}"
    body = "\n".join(_row(found[i]) for i in ids)
    frame = (importlib.resources.files("rs_gpt4v_conversion") / "look.html").read_text(encoding="utf-8")
    page = frame.replace("{{ title }}", escape(title)).replace("{{ count }}", f"{len(ids):,}")
    try:
        write_bytes(out, page.replace("{{ rows }}", body).encode())
    except OSError as error:
        found_trouble = disk_trouble(error, out.parent)
        if found_trouble is None and isinstance(error, FileNotFoundError | NotADirectoryError):
            found_trouble = UsageError(f"{out.parent}: is no folder to write a page into")
        raise found_trouble or error from None


def _row(row: dict[str, Any]) -> str:
    part = f"{row['task']} · {row['source']} · {row['id'].split('/')[1]}"
    return (
        f'<article><div class="picture">{_picture(row)}{_legend(row)}</div><div class="text">'
        f"<header><h2>{escape(row['id'])}</h2><p>{escape(part)}</p></header>"
        f"{_conversation(row)}{_provenance(row)}</div></article>"
    )


def _picture(row: dict[str, Any]) -> str:
    width, height = row["width"], row["height"]
    if row["image"] is None:
        return f'<div class="none" style="aspect-ratio:{width}/{height}">the release does not carry this image</div>'
    data = row["image"]["bytes"]
    kind = "jpeg" if data[:2] == b"\xff\xd8" else "png"
    source = f"data:image/{kind};base64,{base64.b64encode(data).decode()}"
    pixel = "pixelated" if max(width, height) < 400 else "auto"
    shapes = "".join(_shape(i, o, row) for i, o in enumerate(row["objects"]))
    return (
        f'<figure><img src="{source}" width="{width}" height="{height}" alt="{escape(row["id"])}" '
        f'style="image-rendering:{pixel}"><svg viewBox="0 0 {width} {height}">{shapes}</svg></figure>'
    )


def _shape(number: int, item: dict[str, Any], row: dict[str, Any]) -> str:
    colour = _colours(row)[item["category"]]
    label = f"<title>{number}: {escape(item['category'])}{' (ignored)' if item['ignore'] else ''}</title>"
    inner = label
    if item["bbox"]:
        x1, y1, x2, y2 = item["bbox"]
        inner += f'<rect x="{x1:.2f}" y="{y1:.2f}" width="{x2 - x1:.2f}" height="{y2 - y1:.2f}" class="bbox"/>'
    if item["obb"]:
        points = " ".join(f"{x:.2f},{y:.2f}" for x, y in zip(item["obb"][0::2], item["obb"][1::2], strict=True))
        radius = max(row["width"], row["height"]) / 220
        first = f'<circle cx="{item["obb"][0]:.2f}" cy="{item["obb"][1]:.2f}" r="{radius:.2f}" class="first"/>'
        inner += f'<polygon points="{points}" class="obb"/>{first}'
    dashed = " ignored" if item["ignore"] else ""
    return f'<g class="object{dashed}" data-object="{number}" style="--c:{colour}">{inner}</g>'


def _colours(row: dict[str, Any]) -> dict[str, str]:
    categories = sorted({o["category"] for o in row["objects"]})
    return {c: COLOURS[i % len(COLOURS)] for i, c in enumerate(categories)}


def _legend(row: dict[str, Any]) -> str:
    counts: dict[str, int] = defaultdict(int)
    for item in row["objects"]:
        counts[item["category"]] += 1
    items = "".join(
        f'<li style="--c:{colour}">{escape(category)} <b>{counts[category]}</b></li>'
        for category, colour in _colours(row).items()
    )
    return f'<ul class="legend">{items}</ul>' if items else ""


def _conversation(row: dict[str, Any]) -> str:
    turns = row["conversations"]
    pairs = [_pair(q["value"], a["value"], p) for q, a, p in zip(turns[::2], turns[1::2], row["pairs"], strict=True)]
    shown, rest = "".join(pairs[:FIRST]), "".join(pairs[FIRST:])
    more = f"<details><summary>{len(pairs) - FIRST} more pairs</summary><ol>{rest}</ol></details>" if rest else ""
    return f'<ol class="pairs">{shown}</ol>{more}'


def _pair(question: str, answer: str, pair: dict[str, Any]) -> str:
    objects = " ".join(map(str, pair["objects"]))
    facts = f"{pair['category']} · dialogue {pair['dialogue']} · {pair['template']} · {pair['generator']}"
    text = escape(question.removeprefix(TAG)).replace("\n", "<br>")
    return (
        f'<li data-objects="{objects}"><p class="q">{text}</p><p class="a">{escape(answer)}</p>'
        f'<p class="facts">{escape(facts)}</p></li>'
    )


def _provenance(row: dict[str, Any]) -> str:
    gsd = "" if row["gsd"] is None else f"{row['gsd']:g} m a pixel"
    facts = {
        "source": f"{row['source_id']}, {row['modality']}",
        "size": " ".join(filter(None, (f"{row['width']} x {row['height']} pixels", gsd))),
        "paper's path": row["image_path"],
        "licence": row["license"],
        "sha256": f"image {row['image_sha256'][:12]}, source {row['source_sha256'][:12]}",
    }
    return "<dl>" + "".join(f"<dt>{k}</dt><dd>{escape(v)}</dd>" for k, v in facts.items()) + "</dl>"
