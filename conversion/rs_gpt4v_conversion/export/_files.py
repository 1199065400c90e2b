"""Which file of an export holds which rows: the paper's ten, and those of other sources."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from rs_gpt4v_conversion.release import ShardEntry
from rs_gpt4v_conversion.released import OF_A_TASK, PAPER, own_file
from rs_gpt4v_conversion.sidecar import QUESTIONS

IMPORT = "llava"
"""The kind of source that reads such files back."""

TAKEN = {name.casefold() for name in (*PAPER.values(), *OF_A_TASK.values())}
"""Names that no other file may have, on systems that do not tell large from small letters either."""

FOLDERS = {"train": "", "validation": "validation/", "test": "test/", "phili": "test/"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Origin:
    """What a release says of one of its sources."""

    kind: str
    files: tuple[str, ...] = ()  # that it was read from, by path


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """One file of an export and the shards that it is made from, in order."""

    path: str  # in the export
    train: bool  # of training records, not of questions
    shards: tuple[ShardEntry, ...]

    @property
    def rows(self) -> int:
        """Rows of all its shards."""
        return sum(shard.rows for shard in self.shards)


def targets(shards: Iterable[ShardEntry], origins: Mapping[str, Origin]) -> list[Target]:
    """Divide a release's shards among the files of an export.

    All train rows go into train.json. A test part goes into the paper's file for it; what the paper has none for goes
    into `<source>.jsonl`, all tasks of a source together. Validation parts are named likewise, in their own folder.

    Where several sources could fill one of the paper's files, one has it alone: of several of its kind the one that is
    called like the kind, or else the first; where there is none, the first import of a file that is called as the
    paper's, for that is the paper's own. A file that is named after a task holds what all sources have of it, unless
    one is such an import.

    Args:
        shards: Of the release.
        origins: Kind and files of each source, by name.
    """
    entries = list(shards)
    parts = {(s.source, s.task, s.split): origins.get(s.source, Origin(kind=s.source)) for s in entries}
    owners = _owners(parts)
    groups: dict[str, list[ShardEntry]] = {}
    for shard in entries:
        if shard.split != "train":
            origin = parts[shard.source, shard.task, shard.split]
            groups.setdefault(_path(shard, origin, owners), []).append(shard)
    train = tuple(shard for shard in entries if shard.split == "train")
    first = Target(path="train.json", train=True, shards=train)
    return [first, *(Target(path=p, train=False, shards=tuple(s)) for p, s in sorted(groups.items()))]


def _owners(parts: Mapping[tuple[str, str, str], Origin]) -> dict[tuple[str, str], str]:
    """The source that has one of the paper's files for itself, by folder and file."""
    found: dict[tuple[str, str], str] = {}
    best: dict[tuple[str, str], int] = {}
    for (source, task, split), origin in parts.items():
        name = _paper_file(task, split, origin)
        rank = 2 if origin.kind == IMPORT else int(source != origin.kind)
        place = _folder(split), name
        if name and split != "train" and rank < best.get(place, 3):
            found[place], best[place] = source, rank
    return found


def _paper_file(task: str, split: str, origin: Origin) -> str:
    """The paper's file that a part of a source could have for itself, or an empty string."""
    if origin.kind != IMPORT:
        # validation has no file in the paper and takes the name of the test part
        return PAPER.get((origin.kind, task, "test" if split == "validation" else split), "")
    return own_file(origin.files, task)


def _path(shard: ShardEntry, origin: Origin, owners: Mapping[tuple[str, str], str]) -> str:
    folder = _folder(shard.split)
    name = _paper_file(shard.task, shard.split, origin)
    if owners.get((folder, name)) != shard.source:
        name = OF_A_TASK.get(shard.task, "")
        if origin.kind == IMPORT and (folder, name) in owners:
            name = ""
    if not name:
        name = shard.source if shard.source.casefold() not in TAKEN else f"{shard.source}_{shard.task}"
        name += "_phili" if shard.split == "phili" else ""
    return f"{folder}{name}{QUESTIONS if shard.split == 'validation' else '.jsonl'}"


def _folder(split: str) -> str:
    return FOLDERS.get(split, split + "/")
