"""Make a release: read, spool, write shards, and put the index, quality, card and manifest beside them."""

import json
import shutil
import tempfile
from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

from rs_gpt4v_conversion.card import CardFacts, card_text, make_card
from rs_gpt4v_conversion.config import Config, SourceSpec
from rs_gpt4v_conversion.errors import UsageError
from rs_gpt4v_conversion.files import write_bytes
from rs_gpt4v_conversion.gates import GateResult, as_json, run_gates
from rs_gpt4v_conversion.gpt4v.answers.compiling import compiled
from rs_gpt4v_conversion.gpt4v.answers.gathering import gathered
from rs_gpt4v_conversion.gpt4v.answers.ledger import Ledger
from rs_gpt4v_conversion.gpt4v.asking.subjects import chosen_sources, subjects
from rs_gpt4v_conversion.gpt4v.prompts import prompt_text
from rs_gpt4v_conversion.images import needs_vips
from rs_gpt4v_conversion.images.pixels import shared_pixels
from rs_gpt4v_conversion.images.vips import require
from rs_gpt4v_conversion.index import write_index
from rs_gpt4v_conversion.manifest import NAME, dump, generated_lines, make_manifest, source_table
from rs_gpt4v_conversion.naming import natural, shard_part
from rs_gpt4v_conversion.out import close, opened, remove_stale
from rs_gpt4v_conversion.overlaps import Appearance, Overlaps, find
from rs_gpt4v_conversion.paper import Line, composition, reject_lines
from rs_gpt4v_conversion.pool import write_shards
from rs_gpt4v_conversion.progress import Progress
from rs_gpt4v_conversion.reading import Tally, check_reject_limit, check_unfit_answers, enter, read_source
from rs_gpt4v_conversion.records import Draft
from rs_gpt4v_conversion.release import ReleaseFolder, ShardEntry
from rs_gpt4v_conversion.shards import Shard, plan_shards
from rs_gpt4v_conversion.spool import Spool, Spooled

PROMPTS_FOLDER = "prompts"
"""Of a release: the prompts that its texts were written by, word by word."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Built:
    """What a build made."""

    folder: Path
    manifest: dict[str, Any]
    lines: list[Line]
    gates: list[GateResult]
    tally: Tally
    already: bool = False  # the folder held this release, whole: nothing was written


def plan(config: Config) -> tuple[list[Line], Tally]:
    """Read all annotations, no image, and count.

    Args:
        config: What to read.

    Returns:
        The composition table (`as_text` and `as_json` in paper.py show it), and the books: rejects, notes, shared
        images.

    Raises:
        SourceError: A source's folder or file is not what its reader expects.
    """
    tally = Tally()
    seen: list[Appearance] = []
    with tempfile.TemporaryDirectory() as folder, gathered(config, Path(folder), tally) as answers:
        for spec in config.sources:
            progress = Progress(f"reading {spec.name}", 0, "images")
            for draft in _drafts(config, spec, answers, tally):
                progress.advance()
                if len(config.sources) > 1 and draft.image.origin:
                    seen.append(
                        Appearance(
                            task=draft.task, source=draft.source, split=draft.split, row_id=draft.id,
                            pairs=len(draft.pairs), origin=draft.image.origin, key=draft.image.origin,
                        )
                    )  # fmt: skip
            progress.close()
    overlaps = Overlaps()
    find(seen, "name", overlaps)
    _enter_overlaps(overlaps, config, tally)
    return composition(tally, config.sources), tally


def build(config: Config, out: Path, *, workers: int = 1, skip_missing: bool = False) -> Built:
    """Make the release of `config` in `out`, or finish it.

    Nothing in the release depends on the clock, the host, the folder's place or the number of workers.

    Args:
        config: What to compile.
        out: A new or empty folder, or one with a (half-finished) release of the same version.
        workers: Processes that write shards.
        skip_missing: Leave out rows whose image file is not there, instead of stopping.

    Raises:
        UsageError: A mistake of the user's; see the message.
        GateError: Too large a share of a source was rejected.
    """
    import rs_gpt4v  # `datasets` with it: only a build needs it

    tally = Tally()
    with opened(out, config) as work:
        spool = _spool(config, work, tally, skip_missing=skip_missing)
        whole = _whole(config, out, tally, spool.newest)
        if whole is not None:
            close(out)
            return whole
        if len(config.sources) > 1:
            overlaps = _overlaps(spool, workers)
            _enter_overlaps(overlaps, config, tally)
            if config.leakage == "drop":
                spool.drop(overlaps.leaks.keys())
        plans = plan_shards(spool, rs_gpt4v.arrow_schema())
        if not plans:
            raise UsageError(f"{config.path}: no row is left to write; see `rs-gpt4v plan`")
        (out / NAME).unlink(missing_ok=True)
        progress = Progress("writing", sum(p.rows for p in plans), "rows")
        shards = write_shards(plans, out, work / "receipts", workers, progress.advance)
        progress.close()
        _enter_image_rejects(shards, tally)
        for spec in config.sources:
            check_reject_limit(spec, tally)
        built = _finish(config, out, shards, tally)
        close(out)
    return built


def _whole(config: Config, out: Path, tally: Tally, newest: float) -> Built | None:
    """The release, if the folder holds it already: whole, and made from these annotations and images by this version.

    Images are not read again: none may have changed (`newest`, in seconds) since the release was made.
    """
    try:
        release = ReleaseFolder(out)
    except UsageError:
        return None
    manifest = release.manifest
    read = [
        (task, source, split, count.read_pairs, count.missing_pairs)
        for (task, source, split), count in sorted(tally.counts.items())
    ]
    was = [
        (c["task"], c["source"], c["split"], c["read_pairs"], c["missing_pairs"]) for c in manifest.get("counts", [])
    ]
    if (manifest["date"], manifest.get("inputs"), was) != (config.date, tally.inputs, read):
        return None
    if (manifest.get("sources"), manifest.get("leakage")) != (source_table(config), config.leakage):
        return None
    made_by = manifest.get("made_with", {}).get("rs-gpt4v")
    if made_by != version("rs-gpt4v") or newest > (out / NAME).stat().st_mtime:
        return None
    listed = {s["path"]: s["bytes"] for s in manifest["shards"]}
    listed.update({name: file["bytes"] for name, file in manifest["files"].items()})
    for name, size in listed.items():
        if not (out / name).is_file() or (out / name).stat().st_size != size:
            return None
    return Built(folder=out, manifest=manifest, lines=[], gates=[], tally=tally, already=True)


def _drafts(config: Config, spec: SourceSpec, answers: Ledger | None, tally: Tally) -> Iterator[Draft]:
    """All drafts of a source: of what its annotations say, then of what a model said."""
    yield from read_source(spec, tally)
    if answers is not None and spec in chosen_sources(config):
        yield from enter(compiled(subjects(spec, Counter()), answers, tally.generated), spec, tally)


def _spool(config: Config, work: Path, tally: Tally, *, skip_missing: bool) -> Spool:
    missing: dict[str, list[Path]] = {}
    shutil.rmtree(work / "gpt4v", ignore_errors=True)
    with gathered(config, work / "gpt4v", tally) as answers, Spool(work / "spool") as spool:
        for spec in config.sources:
            progress = Progress(f"reading {spec.name}", 0, "images")
            for draft in _drafts(config, spec, answers, tally):
                progress.advance()
                try:
                    states = [path.stat() for path in draft.image.files]
                except (FileNotFoundError, NotADirectoryError) as error:
                    _enter_missing(draft, tally)
                    missing.setdefault(spec.name, []).append(Path(error.filename))
                except PermissionError as error:
                    raise UsageError(f"{error.filename}: may not be read") from None
                else:
                    if needs_vips(draft.image):
                        require(f"{draft.image.path} is large or has many bands")
                    spool.add(draft, states)
            progress.close()
            check_reject_limit(spec, tally)
    check_unfit_answers(config, tally)
    if missing and not skip_missing:
        raise UsageError(_missing_sentence(missing, config.sources))
    return spool


def _enter_overlaps(overlaps: Overlaps, config: Config, tally: Tally) -> None:
    tally.shared = sorted(overlaps.shared)
    if config.leakage == "drop":
        tally.leave_out(overlaps.leaks.values())


def _overlaps(spool: Spool, workers: int) -> Overlaps:
    """Images shared between sources, by name and, where that does not tell already, by their pixels."""
    found = Overlaps()
    rows = [(part, row) for part, rows in spool.ordered() for row in rows]
    find((_appearance(part, row, row.origin) for part, row in rows if row.origin), "name", found)
    users: dict[Path, set[str]] = defaultdict(set)
    for (_, source, _), row in rows:
        if row.whole is not None:
            users[row.whole].add(source)
    progress = Progress("comparing pixels", len(users), "images")
    digests = shared_pixels({p: frozenset(s) for p, s in users.items()}, workers, progress.advance)
    progress.close()
    by_pixels = (
        _appearance(part, row, digests[row.whole])
        for part, row in rows
        if row.whole is not None and row.whole in digests
    )
    find(by_pixels, "pixels", found)
    return found


def _appearance(part: tuple[str, str, str], row: Spooled, key: str) -> Appearance:
    task, source, split = part
    return Appearance(
        task=task, source=source, split=split, row_id=row.row_id, pairs=row.pairs, origin=row.origin, key=key
    )


def _missing_sentence(missing: dict[str, list[Path]], specs: tuple[SourceSpec, ...]) -> str:
    parts = [
        f"{spec.name}: {len(paths):,} images are not there, for example {paths[0]}"
        for spec in specs
        if (paths := missing.get(spec.name))
    ]
    return "; ".join(parts) + "; check `root`, or leave their rows out with --missing-images skip"


def _enter_missing(draft: Draft, tally: Tally) -> None:
    count = tally.part(draft.task, draft.source, draft.split)
    count.missing_images += 1
    count.missing_pairs += len(draft.pairs)
    count.images -= 1
    count.qa_pairs -= len(draft.pairs)


def _enter_image_rejects(shards: list[Shard], tally: Tally) -> None:
    for shard in shards:
        if shard.path.startswith("mini/"):
            continue  # copies: their pairs are counted where they come from
        images = set()
        for reject in shard.rejects:
            tally.reject(reject)
            count = tally.part(reject.task, reject.source, reject.split)
            count.qa_pairs -= 1
            images.add(reject.id.rsplit("#", 1)[0])
        if images:
            tally.part(*shard_part(shard.path)).images -= len(images)


def _finish(config: Config, out: Path, shards: list[Shard], tally: Tally) -> Built:
    """Everything beside the shards, the manifest last."""
    import rs_gpt4v

    written = [s for s in shards if s.rows]
    remove_stale(out, {s.path for s in written})
    data = [s for s in written if s.path.startswith("data/")]
    write_index(out, [s.path for s in data], rs_gpt4v.image_ranges)
    entries = [ShardEntry(path=s.path, rows=s.rows, qa_pairs=s.qa_pairs, bytes=s.bytes, sha256=s.sha256) for s in data]
    # the images were decoded and hashed a moment ago, when they were written
    gates = run_gates(
        ReleaseFolder(out, shards=entries), images=False,
        known_overlap={spec.name for spec in config.sources if spec.source.shares_images},
        leakage=config.leakage,
    )  # fmt: skip
    write_bytes(out / "quality.json", dump(as_json(gates)))
    write_bytes(out / "rejects.jsonl", _rejects(tally))
    shutil.rmtree(out / PROMPTS_FOLDER, ignore_errors=True)  # of an earlier run on other answers
    for _, prompt, _ in {*tally.generated.used, *tally.generated.behind}:
        text = prompt_text(prompt)
        if text is not None:  # questions that were not ours have no prompt of ours
            (out / PROMPTS_FOLDER).mkdir(exist_ok=True)
            write_bytes(out / PROMPTS_FOLDER / f"{prompt.replace('/', '-')}.md", text.encode())
    lines = composition(tally, config.sources)
    facts = CardFacts(
        config=config, shards=tuple(written), lines=tuple(lines),
        rejects=tuple(reject_lines(tally)), shared=tuple(tally.shared), generated=generated_lines(tally.generated),
        features=rs_gpt4v.FEATURES._to_yaml_list(),
        splits=rs_gpt4v.SPLITS,
    )  # fmt: skip
    write_bytes(out / "README.md", make_card(card_text(), facts).encode())
    write_bytes(out / "CHANGELOG.md", _changelog(config, lines).encode())
    manifest = make_manifest(out, config, shards, tally, rs_gpt4v.VERSION)
    write_bytes(out / NAME, dump(manifest))
    return Built(folder=out, manifest=manifest, lines=lines, gates=gates, tally=tally)


def _rejects(tally: Tally) -> bytes:
    order = sorted(tally.rejects, key=lambda r: (r.source, r.task, r.split, natural(r.id)))
    lines = (json.dumps(asdict(reject), ensure_ascii=True) + "\n" for reject in order)
    return "".join(lines).encode()


def _changelog(config: Config, lines: list[Line]) -> str:
    rows = sum(x.images for x in lines)
    pairs = sum(x.qa_pairs for x in lines)
    text = [
        f"# Changelog\n\n## {config.version} - {config.date}\n",
        f"{rows:,} rows, {pairs:,} pairs.\n",
    ]
    text.extend(f"- {x.task}, {x.source}, {x.split}: {x.images:,} rows, {x.qa_pairs:,} pairs" for x in lines)
    return "\n".join(text) + "\n"
