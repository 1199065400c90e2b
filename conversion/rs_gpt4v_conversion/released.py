"""The test files that the paper released: what each is called, and what it holds."""

from collections.abc import Iterable
from pathlib import PurePosixPath

from rs_gpt4v_conversion.sidecar import QUESTIONS

PAPER = {
    ("rsicd", "captioning", "test"): "RSICD",
    ("nwpu_captions", "captioning", "test"): "NWPU-Captions",
    ("ucm_captions", "captioning", "test"): "UCM-Captions",
    ("sydney_captions", "captioning", "test"): "Sydney-Captions",
    ("rsvqa_lr", "vqa", "test"): "RSVQA_LR",
    ("rsvqa_hr", "vqa", "test"): "RSVQA_HR",
    ("rsvqa_hr", "vqa", "phili"): "RSVQA_HR_phili",
    ("dior_rsvg", "grounding", "test"): "DIOR-RSVG",
}
"""The paper's files by kind of source, task and split."""

OF_A_TASK = {
    "detailed_description": "Detailed_Description",
    "conversation": "Conversation_Complex_Reasoning",
}
"""The paper's files that are named after a task: they hold what a model wrote about the images of any source."""

TASKS = {name: task for (_, task, _), name in PAPER.items()} | {name: task for task, name in OF_A_TASK.items()}
"""Of which task each of the paper's files is."""


def own_file(paths: Iterable[str], task: str) -> str:
    """Which of the paper's files an import is, or an empty string: one that is called so and read under its task.

    Args:
        paths: Of the files that were read.
        task: That they were read under.
    """
    stems = (PurePosixPath(path.removesuffix(QUESTIONS)).stem for path in paths)
    return next((stem for stem in stems if TASKS.get(stem) == task), "")
