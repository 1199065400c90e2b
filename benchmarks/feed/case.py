"""One case in a process of its own: `run` starts it, and this module, run as a program, carries it out.

A case is `module:function` in this package and keyword arguments that JSON can carry; its result is an object that
JSON can carry. Everything that a library writes meanwhile goes to stderr.
"""

import contextlib
import importlib
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from feed.environments import Environments

ROOT = Path(__file__).parents[2]
PATHS = [str(ROOT / part) for part in ("benchmarks", "", "builder", "conversion")]
QUIET = {
    "OMP_NUM_THREADS": "1",  # the cases have two workers or two threads; a library's own pool would be a third
    "TOKENIZERS_PARALLELISM": "false",
    "HF_DATASETS_DISABLE_PROGRESS_BARS": "1",
    "TRANSFORMERS_VERBOSITY": "error",
    "DISABLE_VERSION_CHECK": "1",
    "PYTHONWARNINGS": "ignore",
    # of nobody: the server of remote.py takes any
    "AWS_ACCESS_KEY_ID": "none",
    "AWS_SECRET_ACCESS_KEY": "none",
    "AWS_DEFAULT_REGION": "us-east-1",
    "AWS_EC2_METADATA_DISABLED": "true",
}
MARK = "CASE "


class CaseError(Exception):
    """A case could not be carried out."""


def run(where: Environments, environment: str, case: str, timeout: float = 300, **arguments: Any) -> dict[str, Any]:
    """Carry out a case and return its result.

    Args:
        where: The environments.
        environment: The name of the one to run in.
        case: `module:function`.
        timeout: Seconds.
        arguments: Of the function.

    Raises:
        CaseError: The environment is missing, or the process failed; the message has its last lines.
    """
    reason = where.missing(environment)
    if reason:
        raise CaseError(reason)
    paths = [*PATHS, str(where.llava)] if environment == "orig" else PATHS
    line = json.dumps({"case": case, "arguments": arguments})
    command = [str(where.pythons[environment]), "-m", "feed.case", line]
    with tempfile.TemporaryDirectory() as folder:
        variables = {"PYTHONPATH": os.pathsep.join(paths), "TMPDIR": folder, "CASE_BEGUN": str(time.time())}
        try:
            done = subprocess.run(
                command, env={**os.environ, **QUIET, **variables}, capture_output=True, text=True, timeout=timeout
            )
        except subprocess.TimeoutExpired as error:
            raise CaseError(f"{case} took more than {timeout} s") from error
    found = [line for line in done.stdout.splitlines() if line.startswith(MARK)]
    if not found:
        raise CaseError(f"{case} ended with {done.returncode}: {' | '.join(done.stderr.splitlines()[-4:])}")
    return json.loads(found[-1].removeprefix(MARK))


def main() -> None:
    """Carry out the case that the command line states."""
    given = json.loads(sys.argv[1])
    module, function = given["case"].split(":")
    with contextlib.redirect_stdout(sys.stderr):
        result = getattr(importlib.import_module(f"feed.{module}"), function)(**given["arguments"])
    print(MARK + json.dumps(result), flush=True)
    os._exit(0)  # some readers abort or hang when the interpreter ends; that is not what is measured


if __name__ == "__main__":
    main()
