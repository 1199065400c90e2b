"""manifest.json: what a release is, written last. Where it is, the release is whole."""

import json
import platform
from collections import Counter
from dataclasses import asdict
from importlib.metadata import version
from pathlib import Path
from typing import Any

from rs_gpt4v_conversion.config import Config
from rs_gpt4v_conversion.files import sha256
from rs_gpt4v_conversion.paper import note_lines
from rs_gpt4v_conversion.reading import Generated, Tally
from rs_gpt4v_conversion.shards import Shard

NAME = "manifest.json"


def make_manifest(folder: Path, config: Config, shards: list[Shard], tally: Tally, contract: str) -> dict[str, Any]:
    """Describe a finished folder.

    Args:
        folder: The release, complete but for its manifest.
        config: What was compiled.
        shards: Of data/ and mini/.
        tally: What was read, kept and rejected.
        contract: Version of the contract.
    """
    data = [s for s in shards if s.rows and s.path.startswith("data/")]
    listed = {s.path: s for s in shards if s.rows}
    return {
        "name": "rs-gpt4v",
        "version": config.version,
        "date": config.date,
        "contract": contract,
        "shards": [
            {"path": s.path, "rows": s.rows, "qa_pairs": s.qa_pairs, "bytes": s.bytes, "sha256": s.sha256} for s in data
        ],
        "files": {
            name: _file(folder, name, listed.get(name))
            for name in release_files(folder)
            if not name.startswith("data/")
        },
        "counts": [
            {"task": task, "source": source, "split": split, **asdict(count)}
            for (task, source, split), count in sorted(tally.counts.items())
        ],
        "stages": stages(tally),
        "generated": generated_lines(tally.generated),
        "notes": note_lines(tally),
        "leakage": config.leakage,
        "shared": [asdict(shared) for shared in tally.shared],
        "sources": source_table(config),
        "inputs": dict(sorted(tally.inputs.items())),
        "made_with": {
            "python": platform.python_version(),
            **{name: version(name) for name in ("datasets", "numpy", "pillow", "pyarrow", "rs-gpt4v")},
        },
    }


def generated_lines(generated: Generated) -> dict[str, list[dict[str, Any]]]:
    """A model's answers: those that rows were made of, those behind them, and those that came and were no good."""
    return {
        **{
            name: [
                {"stage": stage, "prompt": prompt, "model": model, "answers": count}
                for (stage, prompt, model), count in sorted(counts.items())
            ]
            for name, counts in (("used", generated.used), ("behind", generated.behind))
        },
        "unfit": [
            {"stage": stage, "reason": reason, "answers": count}
            for (stage, reason), count in sorted(generated.unfit.items())
        ],
    }


def source_table(config: Config) -> dict[str, dict[str, Any]]:
    """What SOURCES.toml says of each source, without the places of files: these differ from machine to machine."""
    return {
        spec.name: {
            "kind": spec.source.kind,
            "title": spec.source.title,
            "license": spec.source.license,
            "shares_images": spec.source.shares_images,
            "limit": spec.limit,
            "max_side": spec.max_side,
            "options": {
                o.name: spec.options[o.name] for o in spec.source.options if o.name in spec.options and not o.path
            },
        }
        for spec in config.sources
    }


def _file(folder: Path, name: str, shard: Shard | None) -> dict[str, Any]:
    if shard is not None:
        return {"bytes": shard.bytes, "sha256": shard.sha256}
    return {"bytes": (folder / name).stat().st_size, "sha256": sha256(folder / name)}


def release_files(folder: Path) -> list[str]:
    """Every file of a release but its manifest, by path, in alphabetical order; hidden ones are not part of it."""
    found = []
    for path in folder.rglob("*"):
        parts = path.relative_to(folder).parts
        if path.is_file() and not any(p.startswith(".") for p in parts) and parts != (NAME,):
            found.append("/".join(parts))
    return sorted(found)


def stages(tally: Tally) -> dict[str, list[dict[str, Any]]]:
    """Per source: pairs that came into each stage, and those that it rejected, by reason.

    In every source read = kept + rejected + missing, in pairs; merged ones are counted apart.
    """
    found: dict[str, list[dict[str, Any]]] = {}
    for source in sorted({s for _, s, _ in tally.counts}):
        counts = [c for (_, s, _), c in tally.counts.items() if s == source]
        left = sum(c.read_pairs for c in counts)
        rejects = Counter((r.stage, r.reason) for r in tally.rejects if r.source == source)
        lines: list[dict[str, Any]] = []
        for stage in ("read", "gpt4v", "verify", "leakage", "image"):
            reasons = {reason: n for (at, reason), n in sorted(rejects.items()) if at == stage}
            rejected = sum(reasons.values())
            missing = sum(c.missing_pairs for c in counts) if stage == "image" else 0
            line: dict[str, Any] = {"stage": stage, "read": left, "rejected": rejected, "reasons": reasons}
            if stage == "read":
                line["merged"] = sum(c.merged for c in counts)
            if stage == "image":
                line["missing"] = missing
            left -= rejected + missing
            lines.append({**line, "kept": left})
        found[source] = lines
    return found


def dump(value: Any) -> bytes:
    """JSON as a release holds it: indented, keys in their order, text as it is."""
    return (json.dumps(value, indent=2, ensure_ascii=False) + "\n").encode()
