"""What the commands that ask a server have in common."""

import argparse

from rs_gpt4v_conversion.gpt4v.records import STAGES
from rs_gpt4v_conversion.gpt4v.workspace import Part, Workspace


def server_arguments(parser: argparse.ArgumentParser) -> None:
    """Who is asked, and which request files."""
    parser.add_argument("--stage", choices=STAGES, help="requests of this stage only")
    parser.add_argument(
        "--base-url", metavar="URL",
        help="a server that speaks as OpenAI's does, with the version in its address, such as http://localhost:8000/v1 "
        "(OPENAI_BASE_URL, or OpenAI's)",
    )  # fmt: skip
    parser.add_argument(
        "--key-env", metavar="NAME",
        help="the environment variable with the key (OPENAI_API_KEY; a server on this machine may do without)",
    )  # fmt: skip
    parser.add_argument("--json", action="store_true", help="one JSON object on stdout")


def chosen(workspace: Workspace, stage: str | None) -> list[Part]:
    """The request files of a stage, or of all."""
    return [part for part in workspace.parts() if stage in (None, part.stage)]
