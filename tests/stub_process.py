"""The stub as a user starts it: a process of its own."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def serving_stub(*options: str) -> Iterator[str]:
    """Start the stub with options of its command line; gives its base URL."""
    command = [sys.executable, "-m", "rs_gpt4v_conversion.gpt4v.stub", *options]
    env = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), "PYTHONUNBUFFERED": "1"}
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=env)
    assert process.stdout is not None
    try:
        yield process.stdout.readline().strip()
    finally:
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=20)
