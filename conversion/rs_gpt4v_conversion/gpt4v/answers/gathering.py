"""A build's own view of the answers: all files that it is to read, in a folder of links, with a ledger of its own.

A build writes into its release and nowhere else, and depends on plain files alone. So it does not use the ledger beside
the requests, which may be older or missing, and does not import what `[gpt4v] responses` names: it reads these files
where they are, after those that were imported.
"""

import contextlib
import sys
from collections.abc import Iterator
from pathlib import Path

from rs_gpt4v_conversion.config import Config, Generation
from rs_gpt4v_conversion.files import sha256
from rs_gpt4v_conversion.gpt4v.answers.answer_files import MAP, answer_files, next_answer_file
from rs_gpt4v_conversion.gpt4v.answers.importing import annotated, kept_name, response_files
from rs_gpt4v_conversion.gpt4v.answers.ledger import Ledger
from rs_gpt4v_conversion.gpt4v.workspace import Workspace
from rs_gpt4v_conversion.progress import Progress
from rs_gpt4v_conversion.reading import Tally

INPUTS = "[gpt4v]"
"""Under this name the manifest lists the files that were read; no source can be called so."""


@contextlib.contextmanager
def gathered(config: Config, folder: Path, tally: Tally) -> Iterator[Ledger | None]:
    """The ledger of all answers at hand, held against the annotations; None where no [gpt4v] table asks for them.

    Args:
        config: What to compile.
        folder: New or empty, for the links and the ledger; the caller's to remove.
        tally: Learns which files were read.

    Raises:
        UsageError: A file is not what it should be.
    """
    if config.gpt4v is None:
        _warn(config)
        yield None
        return
    tally.inputs[INPUTS] = _link(config, config.gpt4v, folder)
    with Ledger(Workspace(folder), config.gpt4v) as ledger:
        progress = Progress("reading answers", 0, "lines")
        ledger.update(annotated(config), progress)
        progress.close()
        if count := ledger.homeless():
            tally.notes[INPUTS, "accepted answer about an image that the sources do not have"] += count
        yield ledger


def _warn(config: Config) -> None:
    """Without the table the commands that ask work beside SOURCES.toml, and a user may wonder where the answers are."""
    folder = config.path.parent / "requests"
    if Workspace(folder).parts():
        sys.stderr.write(f"{config.path}: no [gpt4v] table, so the answers in {folder} are not compiled\n")


def _link(config: Config, generation: Generation, folder: Path) -> dict[str, str]:
    """Link all files of requests and answers into one folder; returns their digests by name."""
    here, there = Workspace(folder), Workspace(generation.requests)
    here.answers.mkdir(parents=True)
    digests: dict[str, str] = {}
    for part in there.parts():
        for path in (part.path, part.index):
            (folder / path.name).symlink_to(path.resolve())
        digests[part.index.name] = sha256(part.index)  # the requests themselves are large, and only their index is read
    imported = answer_files(there)
    for file in imported:
        _link_one(file.path, here.answers / file.path.name, f"answers/{file.path.name}", digests)
    seen = {digests[f"answers/{file.path.name}"] for file in imported}
    found, empty = response_files(generation)
    for pattern in empty:
        sys.stderr.write(f"{config.path}, [gpt4v]: responses names {pattern}, and there is no such file yet\n")
    for number, path in enumerate(found, 1):
        if (digest := sha256(path)) not in seen:  # else it was imported already, or is named twice
            seen.add(digest)
            # files of several folders may have one name
            _link_one(path, next_answer_file(here, kept_name(path)), f"responses/{number:06d}-{path.name}", digests)
    return digests


def _link_one(path: Path, link: Path, name: str, digests: dict[str, str]) -> None:
    """Link an answer file and the map beside it, and enter their digests under a name."""
    for ending in ("", MAP):
        source = path.with_name(path.name + ending)
        if source.is_file():
            link.with_name(link.name + ending).symlink_to(source.resolve())
            digests[name + ending] = sha256(source)
