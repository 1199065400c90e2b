"""What the ledger says before and after a server was asked."""

from rs_gpt4v_conversion.cli import say
from rs_gpt4v_conversion.config import Config, Generation
from rs_gpt4v_conversion.errors import UsageError
from rs_gpt4v_conversion.gpt4v.answers.ledger import Ledger
from rs_gpt4v_conversion.gpt4v.commands._opening import bring
from rs_gpt4v_conversion.gpt4v.records import Stage
from rs_gpt4v_conversion.gpt4v.workspace import Workspace
from rs_gpt4v_conversion.tables import table


def pending(config: Config, generation: Generation, workspace: Workspace, stage: Stage | None) -> set[str]:
    """The ids of requests without an accepted answer, also where `[gpt4v] responses` names the files that have them.

    Raises:
        UsageError: See `bring`.
    """
    with Ledger(workspace, generation) as ledger:
        bring(ledger, config, generation, anew=False)
        return set(ledger.pending(stage))


def classes(workspace: Workspace, generation: Generation) -> list[tuple[Stage, str, int]]:
    """Requests by stage and what is with them; shown as a table, too. Nothing where the ledger is in use."""
    try:
        with Ledger(workspace, generation) as ledger:
            ledger.update()
            rows, judged = ledger.status(), ledger.has_facts
    except UsageError as error:
        say(f"note: {error}")  # what was asked is kept; its classes can be seen later
        return []
    if rows:
        for line in table(
            ("stage", "requests", "are"), [(stage, f"{n:,}", what) for stage, what, n in rows], left=1, last=1
        ):
            say(line.rstrip())
    if rows and not judged:
        say("answers were held against no annotations yet; `rs-gpt4v gpt4v status` does that")
    return rows
