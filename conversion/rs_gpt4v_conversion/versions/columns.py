"""The columns of a release as its files state them, and how those of two releases differ."""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import pyarrow as pa

from rs_gpt4v_conversion.errors import UsageError

_PLAIN = ("Value", "Sequence", "List", "LargeList")
"""Features of `datasets` that say nothing which the Arrow type does not say."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SchemaChange:
    """Columns that differ, by name."""

    added: Mapping[str, str]  # types
    removed: Mapping[str, str]
    changed: Mapping[str, tuple[str, str]]  # old and new type

    def __bool__(self) -> bool:
        return bool(self.added or self.removed or self.changed)


NO_CHANGE = SchemaChange(added={}, removed={}, changed={})


def columns_of(metadata: Any) -> dict[str, str]:
    """Types by column of a Parquet file: Arrow's, and the feature of `datasets` where it says more (`Image`).

    Args:
        metadata: A `pyarrow.parquet.FileMetaData`.

    Raises:
        ValueError: The features in it are no JSON.
    """
    features = _features(metadata.metadata or {})
    found = {}
    for field in metadata.schema.to_arrow_schema():
        feature = features.get(field.name)
        kind = feature.get("_type", "Value") if isinstance(feature, dict) else "Value"
        found[field.name] = type_text(field.type) if kind in _PLAIN else f"{kind} {type_text(field.type)}"
    return found


def type_text(kind: pa.DataType) -> str:
    """A type in words. How a list calls its items is the writer's matter, and left out."""
    if pa.types.is_struct(kind):
        return f"struct<{', '.join(f'{f.name}: {type_text(f.type)}' for f in kind)}>"
    if pa.types.is_fixed_size_list(kind):
        return f"list<{type_text(kind.value_type)}, {kind.list_size}>"
    if pa.types.is_list(kind) or pa.types.is_large_list(kind):
        return f"list<{type_text(kind.value_type)}>"
    return str(kind)


def merged(files: Iterable[tuple[str, Mapping[str, str]]], address: str) -> dict[str, str]:
    """The columns of a release: of all its files together.

    Args:
        files: Path and columns of each.
        address: Of the release.

    Raises:
        UsageError: A column has two types, or a file lacks the columns that a row needs.
    """
    columns: dict[str, str] = {}
    for path, found in files:
        lacking = [name for name in ("id", "pairs") if name not in found]
        if lacking:
            raise UsageError(f"{address}: {path} has no column {', '.join(lacking)}, expected a shard of a release")
        for name, kind in found.items():
            if columns.setdefault(name, kind) != kind:
                raise UsageError(
                    f"{address}: column {name} is {kind} in {path} and {columns[name]} in another shard, expected one "
                    "type; `rs-gpt4v check` says what else is broken"
                )
    return columns


def schema_change(old: Mapping[str, str], new: Mapping[str, str]) -> SchemaChange:
    """Compare two releases' columns."""
    return SchemaChange(
        added={name: kind for name, kind in new.items() if name not in old},
        removed={name: kind for name, kind in old.items() if name not in new},
        changed={name: (kind, new[name]) for name, kind in old.items() if new.get(name, kind) != kind},
    )


def _features(metadata: Mapping[bytes, bytes]) -> dict[str, Any]:
    stated = json.loads(metadata.get(b"huggingface", b"{}"))
    info = stated.get("info") if isinstance(stated, dict) else None
    features = info.get("features") if isinstance(info, dict) else None
    return features if isinstance(features, dict) else {}
