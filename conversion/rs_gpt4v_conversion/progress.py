"""Progress of long work: one line that moves on a terminal, a quiet line now and then in a log."""

import shutil
import sys
import time
from typing import TextIO


class Progress:
    """Counts units of work and shows rate and time left on stderr.

    Args:
        what: What is being done, such as "writing".
        total: Units of work, or 0 where not known.
        unit: Name of a unit, plural.
        stream: Where to show it.

    Attributes:
        note: What else is to be shown, a few words.
    """

    def __init__(self, what: str, total: int, unit: str, stream: TextIO | None = None) -> None:
        self.what, self.total, self.unit = what, total, unit
        self.stream = stream or sys.stderr
        self.done = 0
        self.note = ""
        self.live = self.stream.isatty()
        self.pause = 0.2 if self.live else 30.0  # seconds between two lines
        self.begun = self.shown = time.monotonic()

    def advance(self, count: int = 1) -> None:
        """Count units of work as done."""
        self.done += count
        now = time.monotonic()
        if now - self.shown >= self.pause:
            self.shown = now
            self._show(now, "\r" if self.live else "")

    def close(self) -> None:
        """Show the last line, if there was time for any."""
        if self.live and self.shown != self.begun:
            self._show(time.monotonic(), "\r")
            self.stream.write("\n")

    def _show(self, now: float, start: str) -> None:
        rate = self.done / max(now - self.begun, 1e-9)
        text = f"{self.what}: {self.done:,}"
        if self.total:
            text += f" of {self.total:,}"
        text += f" {self.unit}, {rate:,.0f} a second"
        if self.total and rate:
            left = (self.total - self.done) / rate
            text += f", {int(left // 60)}:{int(left % 60):02d} left"
        if self.note:
            text += f"; {self.note}"
        if self.live:  # one line, whatever the width: a longer one would not be overwritten
            width = shutil.get_terminal_size().columns - 1
            self.stream.write(f"{start}{text[:width]:<{width}}")
        else:
            self.stream.write(f"{text}\n")
        self.stream.flush()
