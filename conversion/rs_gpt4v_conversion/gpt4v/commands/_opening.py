"""What all commands begin with: SOURCES.toml and the folder of requests."""

import argparse
from pathlib import Path

from rs_gpt4v_conversion.config import Config, Generation, load_config
from rs_gpt4v_conversion.gpt4v.workspace import Workspace


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
