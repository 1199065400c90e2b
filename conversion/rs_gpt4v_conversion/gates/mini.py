"""Every row of mini/ is a copy of the row of data/ with the same id."""

import hashlib
import json
from collections.abc import Collection
from typing import Any, ClassVar

from rs_gpt4v_conversion.gates._gate import Findings, GateResult
from rs_gpt4v_conversion.release import UNREADABLE, ReleaseFolder, Where

Key = tuple[str, str]
"""What must agree between a row and its copy: the image's digest, and one of the conversations."""


class Mini:
    """Reads mini/ first and then waits for each of its rows to come by.

    Args:
        release: The folder.
        unreadable: Paths of shards that another gate has found broken; grows while rows are read.
        images: Hold the image bytes of the copies against their digest.
    """

    columns: ClassVar[tuple[str, ...]] = ("id", "image_sha256", "conversations")

    def __init__(self, release: ReleaseFolder, unreadable: Collection[str], *, images: bool = True) -> None:
        self.shards, self.unreadable = release.shards, unreadable
        self.findings = Findings("mini")
        self.waiting: dict[str, tuple[str, Key]] = {}
        for shard in release.mini:
            if shard not in unreadable:
                self._read(release, shard, (*self.columns, "image") if images else self.columns)

    def _read(self, release: ReleaseFolder, shard: str, columns: tuple[str, ...]) -> None:
        try:
            for where, row in release.located(shard, columns):
                image = (row.get("image") or {}).get("bytes")
                if not row["id"] or row["id"] in self.waiting:
                    self.findings.add(row["id"] or str(where), f"{shard} has a row without an id, or one twice")
                elif image is not None and hashlib.sha256(image).hexdigest() != row["image_sha256"]:
                    self.findings.add(row["id"], f"{shard} has other image bytes than its digest says")
                else:
                    self.waiting[row["id"]] = (shard, _key(row))
        except UNREADABLE as error:
            self.findings.add(shard, f"cannot be read: {error}")

    def row(self, row: dict[str, Any], where: Where) -> None:
        """Look at one row."""
        shard, key = self.waiting.pop(row["id"], ("", ("", "")))
        if shard and key != _key(row):
            self.findings.add(row["id"], f"{shard} differs from {where.shard}")

    def results(self) -> list[GateResult]:
        """What was found, and the rows of mini/ that data/ does not have."""
        unread = tuple(f"{s.source}/{s.split}/{s.task}/" for s in self.shards if s.path in self.unreadable)
        for record, (shard, _) in self.waiting.items():
            if not record.startswith(unread):
                self.findings.add(record, f"{shard} has it and data/ does not")
        self.waiting = {}
        return [self.findings.result()]


def _key(row: dict[str, Any]) -> Key:
    text = json.dumps(row["conversations"], sort_keys=True)
    return row["image_sha256"] or "", hashlib.sha256(text.encode()).hexdigest()
