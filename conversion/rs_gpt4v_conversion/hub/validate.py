"""What is proved of a release before anything is sent: the gates, the card, and that `datasets` loads every config."""

import json
import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from rs_gpt4v_conversion.errors import GateError
from rs_gpt4v_conversion.gates import as_text, check
from rs_gpt4v_conversion.progress import Progress

_ERROR = re.compile(r"^(?:[\w.]+\.)?(\w+: .+)$", re.MULTILINE)
"""The lines of a traceback that name an error and what it says, from the cause on."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Loaded:
    """How `datasets` loaded a release."""

    streamed: int  # configs
    splits: int  # of all of these
    mapped: str  # the config that was also loaded whole


def validate(folder: Path) -> Loaded:
    """Prove a release.

    Raises:
        GateError: A gate fails, the card does not parse, or a config cannot be loaded.
    """
    failed = [r for r in check(folder) if r.count and r.severity == "error"]
    if failed:
        raise GateError(f"{folder}: is not fit to be published; `rs-gpt4v check` says more:\n{as_text(failed)}")
    return load_all(folder)


def load_all(folder: Path) -> Loaded:
    """Parse the card and load every config with `datasets`, from an empty cache, in a process of its own.

    Raises:
        GateError: The card does not parse, or a config cannot be loaded.
    """
    script = Path(__file__).with_name("loading.py")
    with tempfile.TemporaryDirectory(prefix="rs-gpt4v-") as cache:
        secret = ("HF_TOKEN", "HUGGING_FACE_HUB_TOKEN", "HF_ENDPOINT", "HF_DATASETS_CACHE", "HF_HUB_CACHE")
        environment = {key: value for key, value in os.environ.items() if key not in secret}
        environment |= {"HF_HOME": cache, "HF_HUB_OFFLINE": "1", "HF_DATASETS_DISABLE_PROGRESS_BARS": "1"}
        with (Path(cache) / "said").open("w+") as errors, subprocess.Popen(
            [sys.executable, "-P", str(script), str(folder.resolve())],
            stdout=subprocess.PIPE, stderr=errors, text=True, env=environment,
        ) as process:  # fmt: skip
            lines = _followed(process.stdout or ())
            process.wait()
            errors.seek(0)
            said = errors.read()
    if process.returncode:
        at = lines[-1] if lines else "the card"
        why = "; ".join(_ERROR.findall(said)) or f"ended with {process.returncode}"
        raise GateError(f"{folder}: `datasets` cannot load {at}: {why[:600]}")
    return Loaded(**json.loads(lines[-1]))


def _followed(lines: Iterable[str]) -> list[str]:
    """What the script says, shown as it comes."""
    progress, said = Progress("loading", 0, "steps"), []
    for line in lines:
        said.append(line.rstrip("\n"))
        progress.note = said[-1]
        progress.advance()
    progress.close()
    return said
