"""What all commands begin with: SOURCES.toml and the folder of requests."""

import argparse
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from rs_gpt4v_conversion.config import Config, Generation, load_config
from rs_gpt4v_conversion.gpt4v.workspace import Workspace

if TYPE_CHECKING:
    from rs_gpt4v_conversion.gpt4v.answers.ledger import Ledger


def sources_argument(parser: argparse.ArgumentParser) -> None:
    """`SOURCES.toml`."""
    parser.add_argument("sources", type=Path, metavar="SOURCES.toml")


def requests_argument(parser: argparse.ArgumentParser) -> None:
    """`REQUESTS`, after SOURCES.toml."""
    parser.add_argument(
        "requests", type=Path, nargs="?", metavar="REQUESTS",
        help="the folder of requests and answers (`requests` of [gpt4v], or `requests` beside SOURCES.toml)",
    )  # fmt: skip


def opened(sources: Path, requests: Path | None) -> tuple[Config, Generation, Workspace]:
    """Read SOURCES.toml and find the folder of requests.

    Raises:
        UsageError: See `load_config`.
    """
    config = load_config(sources)
    generation = config.gpt4v or Generation(requests=sources.parent / "requests")
    return config, generation, Workspace(requests or generation.requests)


@contextmanager
def answered(config: Config, generation: Generation, workspace: Workspace) -> "Iterator[Ledger]":
    """The ledger, once it has all answers at hand.

    Raises:
        UsageError: See `bring`.
    """
    from rs_gpt4v_conversion.gpt4v.answers.ledger import Ledger

    with Ledger(workspace, generation) as ledger:
        bring(ledger, config, generation)
        yield ledger


def bring(ledger: "Ledger", config: Config, generation: Generation, *, anew: bool = True) -> None:
    """Import what `[gpt4v] responses` names, and read what is new.

    Args:
        ledger: Open.
        config: Names the sources that answers are held against.
        generation: Names the answer files.
        anew: Read the annotations again, which may be others now; that can take minutes.

    Raises:
        UsageError: See `Ledger.update`; a `BusyError` where another process reads answers.
    """
    from rs_gpt4v_conversion.cli import say
    from rs_gpt4v_conversion.gpt4v.answers.importing import annotated, response_files, store
    from rs_gpt4v_conversion.progress import Progress

    progress = Progress("reading answers", 0, "lines")
    with ledger.writing():
        for stored in store(ledger.workspace, response_files(generation)[0]):
            if stored.new:
                say(f"imported {stored.source}")
        ledger.update(annotated(config) if anew or not ledger.has_facts else None, progress)
    progress.close()
