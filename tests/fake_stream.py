"""A stand-in for `Stream`, with the same promises about shares and states, whose rows are made of numbers."""

import random
import time
from collections.abc import Callable, Mapping
from typing import Any


class FakeShare:
    """What a rank has before it; remembers what was read."""

    def __init__(self, stream: "FakeStream", whole: bool) -> None:
        self.stream, self.whole = stream, whole
        self.epoch, self.start = stream.epoch, stream.position
        self.order = stream.order()[self.start :]
        self.count = len(self.order) // stream.world_size

    def __len__(self) -> int:
        return self.count

    def close(self) -> None:
        """Nothing is fetched ahead."""

    def fetch(self, start: int, stop: int) -> list[Any]:
        assert 0 <= start < stop <= self.count
        self.stream.fetched.append((start, stop))
        world, rank = self.stream.world_size, self.stream.rank
        return [self.stream.row(self.order[n * world + rank]) for n in range(start, stop)]

    def state_after(self, consumed: int) -> dict[str, Any]:
        done = consumed >= self.count
        return {
            "epoch": self.epoch,
            "position": self.stream.size if done else self.start + consumed * self.stream.world_size,
        }


class FakeStream:
    """`size` rows in an order that the epoch decides; `row` makes one of its number."""

    def __init__(
        self, size: int, row: Callable[[int], Any] = lambda n: {"id": f"s/{n}"}, rank: int = 0, world_size: int = 1
    ) -> None:
        self.size, self.row, self.rank, self.world_size = size, row, rank, world_size
        self.epoch = self.position = 0
        self.fetched: list[tuple[int, int]] = []
        self.shares: list[FakeShare] = []

    def order(self) -> list[int]:
        return random.Random(self.epoch).sample(range(self.size), self.size)

    def __len__(self) -> int:
        return self.size // self.world_size

    def set_epoch(self, epoch: int) -> None:
        if epoch != self.epoch:
            self.epoch, self.position = epoch, 0

    def share(self, *, whole: bool = False) -> FakeShare:
        self.shares.append(FakeShare(self, whole))
        return self.shares[-1]

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        self.epoch, self.position = state["epoch"], state["position"]


def ids(rows: list[Any]) -> list[str]:
    """A collate function that takes a while of another length for each batch."""
    time.sleep(hash(rows[0]["id"]) % 3 * 1e-4)
    return [row["id"] for row in rows]
