"""What all commands begin with: SOURCES.toml and the folder of requests."""

import argparse
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from rs_gpt4v_conversion.config import Config, Generation, load_config
from rs_gpt4v_conversion.errors import UsageError
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
    parser.set_defaults(late="requests")


def opened(sources: Path, requests: Path | None) -> tuple[Config, Generation, Workspace]:
    """Read SOURCES.toml and find the folder of requests.

    Raises:
        UsageError: See `load_config`.
    """
    config = load_config(sources)
    generation = config.gpt4v or Generation(requests=sources.parent / "requests")
    return config, generation, Workspace(requests or generation.requests)


def exported(sources: Path, requests: Path | None) -> tuple[Config, Generation, Workspace]:
    """Like `opened`, for commands that need what an export or an import left: they add nothing to any other folder.

    Raises:
        UsageError: There is no such folder, it is none of requests and answers, or see `load_config`.
    """
    config, generation, workspace = opened(sources, requests)
    if not workspace.folder.is_dir():
        raise UsageError(f"{workspace.folder}: no such folder; `rs-gpt4v gpt4v export` makes it")
    if not workspace.parts() and not workspace.answers.is_dir():
        raise UsageError(
            f"{workspace.folder}: found no request files, expected a folder that `rs-gpt4v gpt4v export` wrote"
        )
    return config, generation, workspace


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
