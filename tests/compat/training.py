"""The training loops of docs/training.md, all five of them, with the newest libraries: tests/test_loops.py by pytest.

One JSON line a loop on stdout: its name, whether all its tests hold, why not. A test that is skipped does not hold:
here is all that it needs.
"""

import contextlib
import json
import re
import sys
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]


class Results:
    """Keeps what pytest reports, by loop."""

    def __init__(self) -> None:
        self.loops: dict[str, dict[str, Any]] = {}

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        loop = re.search(r"\[([a-z]+)", report.nodeid)
        name = loop[1] if loop else "other"
        line = self.loops.setdefault(name, {"check": name, "state": "holds", "seconds": 0.0, "detail": ""})
        line["seconds"] += report.duration
        if not report.passed:
            line["state"] = "FAILED"
            line["detail"] += f"{report.nodeid} {report.outcome}\n{report.longreprtext[-3000:]}\n"


def main() -> None:
    results = Results()
    with contextlib.redirect_stdout(sys.stderr):
        pytest.main(["-q", "-m", "not long", str(ROOT / "tests" / "test_loops.py"), f"--rootdir={ROOT}"], [results])
    for line in results.loops.values():
        sys.stdout.write(json.dumps(line) + "\n")


if __name__ == "__main__":
    main()
