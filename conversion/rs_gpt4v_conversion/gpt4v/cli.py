"""`rs-gpt4v gpt4v`: its commands, each a module of commands/ with `NAME`, `HELP`, `arguments` and `run`."""

import argparse
from typing import Any

from rs_gpt4v_conversion.gpt4v.commands import cost, export, fetch, import_, poll, run, status, submit

COMMANDS: tuple[Any, ...] = (
    export,
    run,
    submit,
    poll,
    fetch,
    import_,
    status,
    cost,
)
"""The modules of the commands, in the order of the work."""


def add_commands(parser: argparse.ArgumentParser) -> None:
    """Give `rs-gpt4v gpt4v` its commands. The modules import nothing heavy before they are run."""
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    for module in COMMANDS:
        command = commands.add_parser(module.NAME, help=module.HELP, description=module.HELP)
        module.arguments(command)
        command.set_defaults(command=module.run)
