"""Requests of the GPT-4V stage about a few drawn images, and answers that no model gave: all six stages.

The answers are made of what the requests say, by the same code that stands in for a vendor's server (gpt4v/stub), with
some of what goes wrong with real ones: refusals, cut and malformed answers, wrong numbers, lines twice. Of the last
stage some requests are left without an answer, for a user to try `rs-gpt4v gpt4v run` on.
"""

import tempfile
from contextlib import ExitStack
from pathlib import Path

from rs_gpt4v_conversion.config import Generation, load_config
from rs_gpt4v_conversion.errors import UsageError
from rs_gpt4v_conversion.gpt4v.answers.gathering import gathered
from rs_gpt4v_conversion.gpt4v.asking.costs import load_table
from rs_gpt4v_conversion.gpt4v.asking.exporting import Asking, Chosen, export
from rs_gpt4v_conversion.gpt4v.asking.subjects import chosen_sources, subjects
from rs_gpt4v_conversion.gpt4v.prompts import render
from rs_gpt4v_conversion.gpt4v.records import NEEDS, STAGES, Stage
from rs_gpt4v_conversion.gpt4v.stub.faults import Fault, Faults
from rs_gpt4v_conversion.gpt4v.stub.lines import answer_file
from rs_gpt4v_conversion.gpt4v.workspace import Workspace
from rs_gpt4v_conversion.naming import hash_share
from rs_gpt4v_conversion.reading import Tally

SOURCES = ("rsicd", "hit_uav", "dior")
"""Captions alone; rotated boxes in infrared; rotated and upright boxes."""

MOST_IMAGES = 24
"""Asked about in all: a request holds its image, and there are six stages."""

FAULTS = {
    Fault.FENCED: 0.1, Fault.DUPLICATE: 0.05, Fault.REFUSE: 0.04, Fault.TRUNCATED: 0.04, Fault.SCHEMA_ERROR: 0.04,
    Fault.INCONSISTENT: 0.1,
}  # fmt: skip
"""What goes wrong from the detailed descriptions on; all images get that far."""

LEFT = 0.4
"""Share of the planning requests that nothing has answered yet."""

TABLE = f"""
[gpt4v]
requests = "requests"
responses = ["responses/*.jsonl"]
sources = [{", ".join(f'"{name}"' for name in SOURCES)}]
"""
"""What sources.toml says of it."""


def write_generation(folder: Path, sources_toml: Path, seed: int) -> None:
    """Export all stages about drawn images, one after the other, and answer them.

    Args:
        folder: Of the sample; gets `requests/` and `responses/`.
        sources_toml: Names the drawn sources, and has `TABLE`.
        seed: Decides what goes wrong.
    """
    config = load_config(sources_toml)
    if config.gpt4v is None:
        raise UsageError(f"{sources_toml}: found no [gpt4v] table, expected the sample's")
    workspace, responses = Workspace(config.gpt4v.requests), folder / "responses"
    responses.mkdir()
    for stage in STAGES:
        with tempfile.TemporaryDirectory() as view, ExitStack() as stack:
            answers = None
            if NEEDS[stage] is not None:
                answers = stack.enter_context(gathered(config, Path(view) / "answers", Tally()))
            asking = Asking(
                specs=chosen_sources(config),
                generation=config.gpt4v,
                rule=load_table().image_rule(config.gpt4v.model),
                subjects=subjects,
                render=render,
                answers=answers,
            )
            export(workspace, stage, asking, chosen=Chosen(limit=MOST_IMAGES))
        _answer(workspace, config.gpt4v, stage, responses, seed)


def _answer(workspace: Workspace, generation: Generation, stage: Stage, responses: Path, seed: int) -> None:
    faults = Faults(FAULTS, seed=seed) if stage not in ("local", "global") else Faults({}, seed=seed)
    for part in workspace.parts():
        if part.stage != stage:
            continue
        answer_file(
            part.path, responses / part.path.name, faults=faults, seed=seed,
            keep=lambda custom_id: stage != "planning" or hash_share("answered", custom_id) > LEFT,
        )  # fmt: skip
