"""Which file of an export holds which rows: the paper's ten, and those of other sources."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from rs_gpt4v_conversion.release import ShardEntry

PAPER = {
    ("rsicd", "captioning", "test"): "RSICD",
    ("nwpu_captions", "captioning", "test"): "NWPU-Captions",
    ("ucm_captions", "captioning", "test"): "UCM-Captions",
    ("sydney_captions", "captioning", "test"): "Sydney-Captions",
    ("rsvqa_lr", "vqa", "test"): "RSVQA_LR",
    ("rsvqa_hr", "vqa", "test"): "RSVQA_HR",
    ("rsvqa_hr", "vqa", "phili"): "RSVQA_HR_phili",
    ("dior_rsvg", "grounding", "test"): "DIOR-RSVG",
}
"""The paper's files by kind of source, task and split."""

OF_A_TASK = {
    "detailed_description": "Detailed_Description",
    "conversation": "Conversation_Complex_Reasoning",
}
"""The paper's files that are named after a task: they hold what a model wrote about the images of any source."""

TAKEN = {name.casefold() for name in (*PAPER.values(), *OF_A_TASK.values())}
"""Names that no other file may have, on systems that do not tell large from small letters either."""

FOLDERS = {"train": "", "validation": "validation/", "test": "test/", "phili": "test/"}


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


def targets(shards: Iterable[ShardEntry], kinds: Mapping[str, str]) -> list[Target]:
    """Divide a release's shards among the files of an export.

    All train rows go into train.json. A test part goes into the paper's file for it; what the paper has none for goes
    into `<source>.jsonl`, all tasks of a source together. Of several sources of one kind the one that is called like
    the kind, or else the first, has the paper's file. Validation parts are named likewise, in a folder of their own.

    Args:
        shards: Of the release.
        kinds: Kind of each source, by name.
    """
    entries = list(shards)
    chosen = _chosen(entries, kinds)
    groups: dict[str, list[ShardEntry]] = {}
    for shard in entries:
        if shard.split != "train":
            groups.setdefault(_path(shard, kinds, chosen), []).append(shard)
    train = tuple(shard for shard in entries if shard.split == "train")
    first = Target(path="train.json", train=True, shards=train)
    return [first, *(Target(path=p, train=False, shards=tuple(s)) for p, s in sorted(groups.items()))]


def _chosen(shards: Iterable[ShardEntry], kinds: Mapping[str, str]) -> dict[str, str]:
    """Of each kind the source that has the paper's file."""
    found: dict[str, str] = {}
    for shard in shards:
        kind = kinds.get(shard.source, shard.source)
        if kind not in found or shard.source == kind:
            found[kind] = shard.source
    return found


def _path(shard: ShardEntry, kinds: Mapping[str, str], chosen: Mapping[str, str]) -> str:
    kind = kinds.get(shard.source, shard.source)
    # validation has no file in the paper and takes the name of the test part
    split = "test" if shard.split == "validation" else shard.split
    name = PAPER.get((kind, shard.task, split)) if chosen[kind] == shard.source else None
    if name is None and kind != "llava":  # an import is a source of its own, whatever it holds
        name = OF_A_TASK.get(shard.task)
    if name is None:
        name = shard.source if shard.source.casefold() not in TAKEN else f"{shard.source}_{shard.task}"
        name += "_phili" if shard.split == "phili" else ""
    return f"{FOLDERS.get(shard.split, shard.split + '/')}{name}.jsonl"
