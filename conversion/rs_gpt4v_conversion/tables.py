"""Tables and counts for people, in plain text."""

from collections.abc import Sequence


def table(head: Sequence[str], body: Sequence[Sequence[str]], *, left: int, last: int = 0) -> list[str]:
    """Lines of a table: a line of names, then the rows.

    Args:
        head: Names of the columns.
        body: Cells by row.
        left: So many of the first columns are text. The rest are numbers, and end where their columns end.
        last: So many of the last columns are text again.
    """
    widths = [max(len(row[i]) for row in (head, *body)) for i in range(len(head))]
    text = [i < left or i >= len(head) - last for i in range(len(head))]
    return [
        "  ".join(c.ljust(w) if t else c.rjust(w) for c, w, t in zip(row, widths, text, strict=True))
        for row in (head, *body)
    ]


def counted(number: int, unit: str) -> str:
    """A number with its unit: `1 image`, `1,093 images`."""
    return f"{number:,} {unit}{'' if number == 1 else 's'}"
