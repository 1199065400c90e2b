"""Read a source from end to end: annotations in, drafts of rows out, every pair accounted for."""

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace

from rs_gpt4v_conversion.adapt import adapt, row_id
from rs_gpt4v_conversion.census import Census
from rs_gpt4v_conversion.config import Config, SourceSpec
from rs_gpt4v_conversion.errors import GateError
from rs_gpt4v_conversion.naming import hash64
from rs_gpt4v_conversion.overlaps import Leak, Shared
from rs_gpt4v_conversion.progress import Progress
from rs_gpt4v_conversion.records import Annotation, Draft, Flaw, Note, Reject, Scene
from rs_gpt4v_conversion.scenes import ask, sight
from rs_gpt4v_conversion.sources import Folder
from rs_gpt4v_conversion.tiles import tiles

Part = tuple[str, str, str]
"""(task, source, split)"""


@dataclass(slots=True)
class Count:
    """What was read of one part, and what was kept of it."""

    read_images: int = 0  # with at least one pair
    read_questions: int = 0  # different questions of an image
    read_pairs: int = 0  # after merging, before rejects
    merged: int = 0  # exact repeats of a pair of the same image
    images: int = 0  # kept: rows
    qa_pairs: int = 0  # kept
    missing_images: int = 0  # rows left out because their image is not in the folder
    missing_pairs: int = 0


@dataclass(slots=True)
class Generated:
    """A model's answers: how many are used, and how many are not."""

    used: Counter[tuple[str, str, str]] = field(default_factory=Counter)  # (stage, prompt, model)
    unfit: Counter[tuple[str, str]] = field(default_factory=Counter)  # (stage, reason)
    # the same of answers that became no text, but were part of the question of one
    behind: Counter[tuple[str, str, str]] = field(default_factory=Counter)

    @property
    def unfit_share(self) -> float:
        """Share of the answers that came and are not used."""
        unfit = self.unfit.total()
        return unfit / max(1, unfit + self.used.total())


@dataclass(slots=True)
class Tally:
    """The books of a run: filled while sources are read, and later while images are."""

    counts: dict[Part, Count] = field(default_factory=dict)
    rejects: list[Reject] = field(default_factory=list)
    notes: Counter[tuple[str, str]] = field(default_factory=Counter)  # (source, reason)
    inputs: dict[str, dict[str, str]] = field(default_factory=dict)  # source: file: sha256
    shared: list[Shared] = field(default_factory=list)  # images that sources have in common
    generated: Generated = field(default_factory=Generated)

    def part(self, task: str, source: str, split: str) -> Count:
        """The books of one part."""
        return self.counts.setdefault((task, source, split), Count())

    def reject(self, reject: Reject) -> None:
        """Enter a rejected pair."""
        self.rejects.append(reject)

    def leave_out(self, leaks: Iterable[Leak]) -> None:
        """Enter rows of train whose image another source tests on as rejected."""
        for leak in leaks:
            row, (source, split) = leak.row, leak.test
            count = self.part(row.task, row.source, row.split)
            count.images -= 1
            count.qa_pairs -= row.pairs
            for number in range(row.pairs):
                self.reject(
                    Reject(
                        id=f"{row.row_id}#{number}", task=row.task, source=row.source, split=row.split,
                        stage="leakage", reason=f"image is in the {split} split of {source}",
                    )
                )  # fmt: skip

    def reasons(self) -> Counter[tuple[str, str, str]]:
        """Number of rejects by (source, stage, reason)."""
        return Counter((r.source, r.stage, r.reason) for r in self.rejects)


def read_source(spec: SourceSpec, tally: Tally) -> Iterator[Draft]:
    """Read one source.

    Yields:
        A draft for each image of which at least one pair is kept, in the reader's order.

    Raises:
        SourceError: The folder or a file of it is not what the reader expects.
    """
    before = _look_through(spec)
    folder = Folder(spec.root)
    yield from enter(_asked(spec, folder, before), spec, tally)
    tally.inputs[spec.name] = dict(sorted(folder.digests.items()))


def enter(items: Iterable[Annotation | Flaw | Note], spec: SourceSpec, tally: Tally) -> Iterator[Draft]:
    """Enter what is said of a source's images into the books.

    Yields:
        A draft for each annotation of which at least one pair is kept.
    """
    seen: dict[tuple[str, str], set[str]] = {}  # (task, image id): splits
    for item in items:
        if isinstance(item, Note):
            tally.notes[spec.name, item.reason] += item.count
        elif isinstance(item, Flaw):
            _enter_flaw(item, spec.name, tally)
        else:
            splits = seen.setdefault((item.task, item.image.image_id), set())
            draft = _enter(item, spec, tally, clash(item.split, splits, spec))
            splits.add(item.split)
            if draft is not None:
                yield draft


def _look_through(spec: SourceSpec) -> "_Before":
    """Read a source ahead, where it marks objects or is limited.

    `limit` leaves the images whose ids' hashes are the smallest, in whatever split they are.
    """
    census = Census()
    before = _Before(chosen=chosen_images(spec), census=census)
    if spec.source.detects:
        progress = Progress(f"looking through {spec.name}", 0, "images")
        for scene in read_items(spec, Folder(spec.root), before.chosen):
            if isinstance(scene, Scene):
                census.see(sight(scene))
                progress.advance()
        progress.close()
        census.settle()
    return before


@dataclass(frozen=True, slots=True, kw_only=True)
class _Before:
    """What must be known of a whole source before its first row is made."""

    chosen: frozenset[str] | None  # the images that `limit` leaves, None: all
    census: Census  # which yes-or-no questions are asked


def chosen_images(spec: SourceSpec) -> frozenset[str] | None:
    """Ids of the images that `limit` leaves, found by reading the source once; None: all."""
    if spec.limit is None:
        return None
    items = spec.source.read(Folder(spec.root), spec.options)
    ids = {item.image.image_id for item in items if isinstance(item, Scene | Annotation)}
    return frozenset(sorted(ids, key=lambda i: hash64(i, "limit"))[: spec.limit])


def read_items(
    spec: SourceSpec, folder: Folder, chosen: frozenset[str] | None
) -> Iterator[Annotation | Scene | Flaw | Note]:
    """What a reader yields, without the images that `limit` leaves out, reduced and in tiles as the options say.

    Args:
        spec: The source.
        folder: Its folder.
        chosen: See `chosen_images`.
    """
    for item in spec.source.read(folder, spec.options):
        if isinstance(item, Note):
            yield item
        elif isinstance(item, Flaw):
            if chosen is None or item.image_id in chosen:
                yield item
        elif chosen is None or item.image.image_id in chosen:
            if spec.max_side is not None:
                item = replace(item, image=replace(item.image, max_side=spec.max_side))
            if isinstance(item, Annotation):
                yield item
            else:
                yield from tiles(item, spec.source, spec.options)


def _asked(spec: SourceSpec, folder: Folder, before: _Before) -> Iterator[Annotation | Flaw | Note]:
    """The same with questions in the place of scenes."""
    for item in read_items(spec, folder, before.chosen):
        if isinstance(item, Scene):
            yield from ask(item, before.census)
        else:
            yield item


def clash(split: str, splits: set[str], spec: SourceSpec) -> str:
    """Why an image that was read before may not come again, or an empty string.

    Args:
        split: In which it comes now.
        splits: In which it came before.
        spec: The source.
    """
    if split in splits:
        return "image listed twice"
    if splits and not spec.source.shares_images:
        return f"image is also in the {min(splits)} split of this source"
    return ""


def _enter(item: Annotation, spec: SourceSpec, tally: Tally, again: str) -> Draft | None:
    adapted = adapt(item, spec.source, spec.name)
    count = tally.part(item.task, spec.name, item.split)
    count.read_pairs += adapted.read
    count.merged += adapted.merged
    if again:
        record = row_id(spec.name, item.split, item.task, item.image.image_id)
        for number in range(adapted.read):
            tally.reject(
                Reject(
                    id=f"{record}#again-{number}", task=item.task, source=spec.name,
                    split=item.split, stage="read", reason=again,
                )
            )  # fmt: skip
        return None
    count.read_images += 1
    count.read_questions += adapted.questions
    for reject in adapted.rejects:
        tally.reject(reject)
    if adapted.draft is not None:
        count.images += 1
        count.qa_pairs += len(adapted.draft.pairs)
    return adapted.draft


def _enter_flaw(flaw: Flaw, source: str, tally: Tally) -> None:
    tally.part(flaw.task, source, flaw.split).read_pairs += 1
    tally.reject(
        Reject(
            id=f"{row_id(source, flaw.split, flaw.task, flaw.image_id)}#{flaw.record}",
            task=flaw.task, source=source, split=flaw.split, stage=flaw.stage, reason=flaw.reason,
            detail=flaw.detail,
        )
    )  # fmt: skip


def check_reject_limit(spec: SourceSpec, tally: Tally) -> None:
    """Stop when too much of a source was rejected: then the folder is at fault, not a record.

    The rejects of a single image never stop a build, however small the source.

    Raises:
        GateError: The share of rejected pairs is above the source's limit.
    """
    read = sum(c.read_pairs for (_, source, _), c in tally.counts.items() if source == spec.name)
    # what leaks and what a model failed to answer is no flaw of the folder
    rejects = [r for r in tally.rejects if r.source == spec.name and r.stage not in ("leakage", "gpt4v")]
    images = {tuple(r.id.rsplit("#", 1)[0].split("/", 3)[1::2]) for r in rejects}  # (split, image id)
    if len(images) <= 1 or len(rejects) <= spec.reject_limit * read:
        return
    (reason, count), *_ = Counter(r.reason for r in rejects).most_common(1)
    raise GateError(
        f"{spec.name}: {len(rejects):,} of {read:,} pairs rejected, more than the limit of "
        f"{spec.reject_limit:.0%}; most often ({count:,}): {reason}, for example {rejects[0].id}. "
        "Mend the folder, or raise `reject_limit` of this source"
    )


def check_unfit_answers(config: Config, tally: Tally) -> None:
    """Stop when too many of a model's answers are unfit: then the prompt or the model is at fault, not an answer.

    Raises:
        GateError: The share is above `reject_limit` of [gpt4v].
    """
    generated = tally.generated
    if config.gpt4v is None or generated.unfit_share <= config.gpt4v.reject_limit or generated.unfit.total() < 2:
        return  # a single answer says nothing of the prompt, whatever its share
    ((stage, reason), count), *_ = generated.unfit.most_common(1)
    raise GateError(
        f"{config.path}: {generated.unfit_share:.0%} of the answers of models are unfit, more than the limit of "
        f"{config.gpt4v.reject_limit:.0%}; most often ({count:,}, of stage {stage}): {reason}. See "
        "`rs-gpt4v gpt4v status`, export what is pending again, or raise `reject_limit` of [gpt4v]"
    )
