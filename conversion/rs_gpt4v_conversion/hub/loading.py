"""A script: parse a release's card and load every config by `load_dataset`, as whoever downloads the release will.

It runs in a process of its own, because `datasets` reads where its cache is when it is imported. On stdout comes a
line for what is tried next, and at the end an object; what goes wrong is a traceback.
"""

import json
import sys
from collections.abc import Hashable
from pathlib import Path
from typing import Any

import yaml
from datasets import load_dataset
from datasets.info import DatasetInfosDict
from datasets.utils.metadata import MetadataConfigs
from huggingface_hub import DatasetCardData

ROWS = 2  # that are looked at in each split


class _Strict(yaml.SafeLoader):
    """YAML in which a key may stand once."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:
        keys = [self.construct_object(key, deep=True) for key, _ in node.value]
        twice = sorted({str(key) for key in keys if keys.count(key) > 1})
        if twice:
            raise ValueError(f"README.md: the key {twice[0]} stands twice in one table")
        return super().construct_mapping(node, deep=deep)


def front_matter(card: str) -> dict[str, Any]:
    """The YAML between the fences at the head of a card.

    Raises:
        ValueError: There is none, it does not parse, or has a key twice.
    """
    head, fence, rest = card.partition("---\n")
    block, end, _ = rest.partition("\n---\n")
    if head or not fence or not end:
        raise ValueError("README.md: begins with no YAML between lines of ---")
    content = yaml.load(block, _Strict)
    if not isinstance(content, dict):
        raise ValueError("README.md: its YAML is no table")
    return content


def main(folder: str) -> None:
    """Load the release in `folder`."""
    say("the card")
    data = DatasetCardData(**front_matter((Path(folder) / "README.md").read_text(encoding="utf-8")))
    configs, infos = MetadataConfigs.from_dataset_card_data(data), DatasetInfosDict.from_dataset_card_data(data)
    if not configs or set(configs) != set(infos):
        raise ValueError("README.md: configs and dataset_info do not name the same configs")
    count = 0
    for name, info in infos.items():
        say(f"config {name}")
        splits = load_dataset(folder, name, streaming=True)
        if set(splits) != set(info.splits):
            raise ValueError(f"README.md: config {name} has splits {sorted(splits)}, states {sorted(info.splits)}")
        for split, rows in splits.items():
            say(f"config {name}, split {split}")
            expected = min(ROWS, info.splits[split].num_examples)
            found = sum(1 for _ in rows.take(ROWS))
            if found != expected:
                raise ValueError(f"{found} of the first {expected} rows can be read")
            count += 1
    smallest = min(infos, key=lambda name: infos[name].download_size or 0)
    say(f"config {smallest} as a whole")
    load_dataset(folder, smallest)
    say(json.dumps({"streamed": len(infos), "splits": count, "mapped": smallest}))


def say(text: str) -> None:
    """A line on stdout."""
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main(sys.argv[1])
