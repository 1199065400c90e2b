"""Versions of a release: what differs between two, what the number must say of it, and how the changelog tells it.

from rs_gpt4v_conversion.versions import ReleaseAt, check_version, compare, entry

old, new = ReleaseAt("hf://datasets/<name>@v1.0.0"), ReleaseAt("rs-gpt4v")
difference = compare(old, new)
print(check_version(old.version, new.version, difference) or "the number says what changed")
print(entry(difference))
"""

from rs_gpt4v_conversion.versions.changelog import changelog, entry, write_changelog
from rs_gpt4v_conversion.versions.diff import Diff, compare
from rs_gpt4v_conversion.versions.opened import ReleaseAt
from rs_gpt4v_conversion.versions.rule import check_version, required_bump
from rs_gpt4v_conversion.versions.shown import as_json, as_text

__all__ = [
    "Diff", "ReleaseAt", "as_json", "as_text", "changelog", "check_version", "compare", "entry", "required_bump",
    "write_changelog",
]  # fmt: skip
