"""Types of arguments that are numbers."""

import argparse
from collections.abc import Callable


def at_least(least: float) -> Callable[[str], float]:
    """A type of argument: a number that is not less."""

    def number(text: str) -> float:  # the name stands in messages
        value = float(text)
        if not least <= value < float("inf"):
            raise argparse.ArgumentTypeError(f"{text} is no number of at least {least:g}")
        return value

    return number


def whole_at_least(least: int) -> Callable[[str], int]:
    """A type of argument: a whole number that is not less."""

    def whole_number(text: str) -> int:
        value = int(text)
        if value < least:
            raise argparse.ArgumentTypeError(f"{text} is less than {least}")
        return value

    return whole_number
