"""The release's README.md: the text of dataset_card.md with its placeholders filled in, and the YAML that loaders read.

A pure function of the card's text and of what was counted. The YAML names the configs as file patterns (no filters: the
viewer and every `datasets` since 2.14 take them), the features and the counts; version and digest stand in every
config, because `datasets` caches a local folder by its card and would otherwise serve an older build.
"""

import hashlib
import importlib.resources
import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from rs_gpt4v_conversion.config import Config
from rs_gpt4v_conversion.errors import ConversionError
from rs_gpt4v_conversion.manifest import source_table
from rs_gpt4v_conversion.overlaps import Shared, sentence
from rs_gpt4v_conversion.paper import CORRECTED, TOTALS, Line, absent, by_question
from rs_gpt4v_conversion.shards import Shard
from rs_gpt4v_conversion.tables import counted

PLACEHOLDER = re.compile(r"\{\{\s*(\w+)\s*\}\}")


@dataclass(frozen=True, slots=True, kw_only=True)
class CardFacts:
    """What a card is made from."""

    config: Config
    shards: tuple[Shard, ...]  # of data/ and mini/
    lines: tuple[Line, ...]
    rejects: tuple[Mapping[str, str | int], ...]
    shared: tuple[Shared, ...]  # images that sources have in common
    generated: Mapping[str, Sequence[Mapping[str, Any]]]  # a model's answers, as the manifest has them
    features: list[Any]  # as `datasets` writes them into YAML
    splits: tuple[str, ...]


def card_text() -> str:
    """The text of dataset_card.md, from the wheel or from the checkout."""
    packaged = importlib.resources.files("rs_gpt4v_conversion") / "dataset_card.md"
    if packaged.is_file():
        return packaged.read_text(encoding="utf-8")
    return (Path(__file__).parents[2] / "dataset_card.md").read_text(encoding="utf-8")


def make_card(text: str, facts: CardFacts) -> str:
    """Fill in a card.

    Raises:
        ConversionError: The text has a placeholder that nothing fills, or lacks one that it must have.
    """
    values = {name: fill(facts) for name, fill in PLACEHOLDERS.items()}
    found = set(PLACEHOLDER.findall(text))
    unknown, missing = sorted(found - values.keys()), sorted(values.keys() - found)
    if unknown:
        raise ConversionError(f"dataset_card.md: nothing fills the placeholder {', '.join(unknown)}")
    if missing:
        raise ConversionError(f"dataset_card.md: the placeholder {', '.join(missing)} is missing")
    return PLACEHOLDER.sub(lambda m: values[m[1]], text)


def front_matter(facts: CardFacts) -> str:
    """The YAML at the head of the card, without its fences."""
    configs = config_shards(facts.shards)
    pairs = sum(s.qa_pairs for s in configs["all"])
    licenses = sorted({spec.source.license for spec in facts.config.sources})
    content = {
        "pretty_name": "RS-GPT4V",
        "language": ["en"],
        "license": "other",
        "license_name": "per-source",
        "license_details": "; ".join(licenses),
        "task_categories": ["visual-question-answering", "image-to-text", "image-text-to-text"],
        "tags": ["remote-sensing", "earth-observation", "instruction-tuning", "llava", "grounding"],
        "size_categories": [_size_category(pairs)],
        "configs": [_config(name, shards, facts) for name, shards in configs.items()],
        "dataset_info": [_info(name, shards, facts) for name, shards in configs.items()],
    }
    return yaml.safe_dump(content, sort_keys=False, allow_unicode=True, width=100).rstrip()


def config_shards(shards: tuple[Shard, ...]) -> dict[str, list[Shard]]:
    """Shards by config: `all`, `mini`, then tasks, then sources, each alphabetically."""
    data = [s for s in shards if s.rows and s.path.startswith("data/")]
    configs = {"all": data, "mini": [s for s in shards if s.rows and s.path.startswith("mini/")]}
    for depth in (1, 2):
        for name in sorted({s.path.split("/")[depth] for s in data}):
            configs[name] = [s for s in data if s.path.split("/")[depth] == name]
    return configs


def _pattern(name: str, shards: list[Shard]) -> str:
    if name == "all":
        return "data/*/*"
    if name == "mini":
        return "mini"
    return f"data/{name}/*" if shards[0].path.split("/")[1] == name else f"data/*/{name}"


def _config(name: str, shards: list[Shard], facts: CardFacts) -> dict[str, Any]:
    digest = hashlib.sha256("".join(f"{s.path} {s.sha256}\n" for s in shards).encode())
    present = {s.split for s in shards}
    config: dict[str, Any] = {"config_name": name}
    if name == "all":
        config["default"] = True
    config["version"] = facts.config.version
    config["description"] = f"{name} of RS-GPT4V {facts.config.version}, sha256 {digest.hexdigest()}"
    config["data_files"] = [
        {"split": split, "path": f"{_pattern(name, shards)}/{split}-*.parquet"}
        for split in facts.splits
        if split in present
    ]
    return config


def _info(name: str, shards: list[Shard], facts: CardFacts) -> dict[str, Any]:
    splits = []
    for split in facts.splits:
        of_split = [s for s in shards if s.split == split]
        if of_split:
            splits.append(
                {
                    "name": split,
                    "num_bytes": sum(s.bytes for s in of_split),
                    "num_examples": sum(s.rows for s in of_split),
                }
            )
    size = sum(s.bytes for s in shards)
    return {
        "config_name": name, "features": facts.features, "splits": splits, "download_size": size,
        "dataset_size": size,
    }  # fmt: skip


def _size_category(count: int) -> str:
    steps = ["n<1K", "1K<n<10K", "10K<n<100K", "100K<n<1M", "1M<n<10M", "10M<n<100M"]
    return steps[min(max(len(str(count)) - 3, 0), len(steps) - 1)]


def _table(head: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> str:
    lines = [head, tuple("---" for _ in head), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def _composition(facts: CardFacts) -> str:
    head = (
        "task",
        "source",
        "split",
        "images read",
        "pairs read",
        "images kept",
        "pairs kept",
        "paper: images",
        "paper: QA",
    )
    rows = []
    for x in facts.lines:
        paper = "" if x.paper_qa_pairs is None else f"{x.paper_qa_pairs:,}{' (questions)' if by_question(x) else ''}"
        rows.append(
            (
                x.task, x.source, x.split, f"{x.read_images:,}", f"{x.read_pairs:,}", f"{x.images:,}",
                f"{x.qa_pairs:,}", "" if x.paper_images is None else f"{x.paper_images:,}", paper,
            )
        )  # fmt: skip
    return _table(head, rows)


def _differences(facts: CardFacts) -> str:
    lines = [f"- {x.task}, {x.source}, {x.split}: {x.difference}." for x in facts.lines if x.difference]
    for line in absent(facts.config.sources, facts.lines):
        what = f"{line.figure.images:,} images, {line.figure.qa_pairs:,} pairs"
        lines.append(f"- {line.task}, {line.title}, {line.split}: not in this release; the paper has {what}.")
    for split, total in TOTALS.items():
        of_split = _of_the_paper(facts, split)
        images = sum(x.read_images for x in of_split)
        units = sum(x.read_questions if by_question(x) else x.read_pairs for x in of_split)
        lines.append(
            f"- All of the paper's lines of {split} that are here: {images:,} images and {units:,} pairs read; "
            f"the paper's total is {total.images:,} and {total.qa_pairs:,}{CORRECTED.get(split, '')}."
        )
    return "\n".join(lines)


def _of_the_paper(facts: CardFacts, split: str) -> list[Line]:
    """One line for each of the paper's: of several imports of one kind the one that holds most."""
    kinds = {spec.name: spec.source.kind for spec in facts.config.sources}
    of_split = [x for x in facts.lines if x.split == split and x.paper_qa_pairs is not None]
    of_split.sort(key=lambda x: x.read_pairs)
    return list({(x.task, kinds[x.source]): x for x in of_split}.values())


def _overlaps(facts: CardFacts) -> str:
    dropped = facts.config.leakage == "drop"
    lines = [f"- {sentence(s, dropped=dropped)}." for s in facts.shared] or ["- No image was found in two sources."]
    lines += [f"- {spec.name}: {spec.source.caveat}" for spec in facts.config.sources if spec.source.caveat]
    return "\n".join(lines)


def _rejects(facts: CardFacts) -> str:
    missing = sum(x.missing_images for x in facts.lines)
    lines = [
        f"- {r['source']}: {counted(int(r['count']), 'pair')}, {r['reason']} ({r['stage']})" for r in facts.rejects
    ]
    if missing:
        lines.append(f"- Not at hand when this release was made, and so left out: {counted(missing, 'image')}.")
    return "\n".join(lines) or "Nothing was rejected."


def _generation(facts: CardFacts) -> str:
    used, unfit = facts.generated["used"], facts.generated["unfit"]
    if not used:
        return "No answer of a model was compiled into this release."
    behind = facts.generated["behind"]
    rows = [
        (x["stage"], f"`{x['prompt']}`", f"`{x['model'] or 'unknown'}`", f"{x['answers']:,}") for x in (*behind, *used)
    ]
    text = [
        _table(("stage", "prompt", "model", "answers"), rows),
        "",
        "No person has reviewed them, unless `pairs.review` says so.",
    ]
    if unfit:
        reasons = ", ".join(f"{x['reason']} of {x['stage']} ({x['answers']:,})" for x in unfit)
        text.append(f"Of the answers that came, these are not used: {reasons}.")
    return "\n".join(text)


def _sources(facts: CardFacts) -> str:
    rows = []
    for spec in facts.config.sources:
        s = spec.source
        passed_on = "yes" if s.redistribute else "no: research use with your own copy"
        rows.append((f"[{s.title}]({s.homepage})", spec.name, s.modality, ", ".join(s.tasks), s.license, passed_on))
    table = _table(("source", "config", "modality", "tasks", "licence", "images may be passed on"), rows)
    asked = [f"- {name}: {settings}" for name, settings in _settings(facts) if settings]
    return "\n".join([table, *(["", "What `SOURCES.toml` asks for beside the defaults:", "", *asked] if asked else [])])


def _settings(facts: CardFacts) -> Iterator[tuple[str, str]]:
    """By source: what of it is not as it is by default. Places of files are nobody else's matter."""
    for name, said in source_table(facts.config).items():
        keys = {"limit": said["limit"], "max_side": said["max_side"], **said["options"]}
        yield name, ", ".join(f"{key} = {json.dumps(value)}" for key, value in keys.items() if value is not None)


def _configs(facts: CardFacts) -> str:
    rows = []
    for name, shards in config_shards(facts.shards).items():
        counts = {s: sum(x.rows for x in shards if x.split == s) for s in facts.splits}
        splits = ", ".join(f"{s} {n:,}" for s, n in counts.items() if n)
        rows.append((f"`{name}`", splits, f"{sum(s.qa_pairs for s in shards):,}"))
    return _table(("config", "rows by split", "QA pairs"), rows)


def _citations(facts: CardFacts) -> str:
    return "\n\n".join(dict.fromkeys(spec.source.citation for spec in facts.config.sources))


PLACEHOLDERS: dict[str, Callable[[CardFacts], str]] = {
    "front_matter": front_matter,
    "version": lambda f: f.config.version,
    "date": lambda f: f.config.date,
    "rows": lambda f: f"{sum(s.rows for s in config_shards(f.shards)['all']):,}",
    "qa_pairs": lambda f: f"{sum(s.qa_pairs for s in config_shards(f.shards)['all']):,}",
    "configs": _configs,
    "composition": _composition,
    "differences": _differences,
    "rejects": _rejects,
    "overlaps": _overlaps,
    "generation": _generation,
    "sources": _sources,
    "citations": _citations,
}
"""What fills each placeholder of dataset_card.md. The text must use all of them."""
