"""What a release knows and LLaVA's files have no place for: two files beside each of them.

    test/RSICD.jsonl                  a line a question
    test/RSICD.sidecar.jsonl          line n is about question n: its row, and where each of its pairs comes from
    test/RSICD.rows.sidecar.jsonl     a line a row of the release, in order: size, objects, licence, digests

Questions of a split that the paper has no files for are a sidecar themselves, with two of their own beside them:

    validation/RSICD.questions.sidecar.jsonl

`export llava` writes them, the source `llava` reads them: with them nothing of a pair is lost on the way.
"""

from pathlib import Path

SUFFIX = ".sidecar.jsonl"

ROWS = ".rows" + SUFFIX

QUESTIONS = ".questions" + SUFFIX


def lines_file(path: Path) -> Path:
    """The sidecar with a line for each line or record of `path`."""
    return path.with_name(_stem(path) + SUFFIX)


def rows_file(path: Path) -> Path:
    """The sidecar with a line for each row of the release that is in `path`."""
    return path.with_name(_stem(path) + ROWS)


def _stem(path: Path) -> str:
    return path.name.removesuffix(QUESTIONS) if path.name.endswith(QUESTIONS) else path.stem
