"""A loader for those who iterate it epoch after epoch and do not say which one it is: Lightning, the Trainer."""

from collections.abc import Iterator, Mapping
from typing import Any

from rs_gpt4v_builder.batch.loader import Loader


class Epochs:
    """A `Loader` that goes on to the next epoch by itself.

    Each iteration gives what is left of the epoch, and where nothing is left, the next one. The state is the loader's.

    Args:
        loader: The batches.

    Attributes:
        loader: As given.
    """

    def __init__(self, loader: Loader) -> None:
        self.loader = loader

    def __len__(self) -> int:
        """Batches of a whole epoch."""
        return len(self.loader)

    def __iter__(self) -> Iterator[Any]:
        # who counts the batches stops behind the last one, and never asks for the end that it does not give
        self.loader.load_state_dict(self.loader.state_dict())
        given = False
        for batch in self.loader:
            given = True
            yield batch
        if not given:
            self.loader.set_epoch(self.loader.epoch + 1)
            yield from self.loader

    def state_dict(self) -> dict[str, Any]:
        """Return where the loader is; see `Loader.state_dict`."""
        return self.loader.state_dict()

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go to where a state says; see `Loader.load_state_dict`."""
        self.loader.load_state_dict(state)
