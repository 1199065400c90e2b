"""Whether the number of a new version says what changed since the one that the repository holds."""

from pathlib import Path

from rs_gpt4v_conversion.errors import UsageError
from rs_gpt4v_conversion.hub.plan import Plan
from rs_gpt4v_conversion.versions.diff import compare
from rs_gpt4v_conversion.versions.opened import ReleaseAt
from rs_gpt4v_conversion.versions.rule import check_version


def check_number(plan: Plan, release: Path) -> None:
    """Compare the release with the repository's, of which texts are read and no image.

    Args:
        plan: What is to be pushed.
        release: The folder.

    Raises:
        UsageError: The number says too little, or the repository's release cannot be read.
    """
    if not plan.replaces:
        return
    old = ReleaseAt(f"hf://datasets/{plan.repo}@{plan.parent}")
    problem = check_version(plan.replaces, plan.version, compare(old, ReleaseAt(str(release))))
    if problem is not None:
        raise UsageError(f"{release}: {problem}; see what changed by `rs-gpt4v diff {old.address} {release}`")
