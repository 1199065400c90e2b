"""Where the optional test data lie: real annotation files and golden results that are not part of the project.

A folder named by RS_GPT4V_SHARED, or else `shared` beside the checkout. What needs it skips, with the reason, where it
is not there.
"""

import os
from pathlib import Path

import pytest

ROOT = Path(os.environ.get("RS_GPT4V_SHARED") or Path(__file__).resolve().parents[2] / "shared")


def shared(*parts: str) -> Path:
    """The path of a file or folder of the optional test data; skips the test where it is absent."""
    path = ROOT.joinpath(*parts)
    if not path.exists():
        pytest.skip(f"needs the optional test data {'/'.join(parts)}: RS_GPT4V_SHARED names no folder that holds it")
    return path
