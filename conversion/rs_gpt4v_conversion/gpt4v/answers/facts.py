"""Facts as one line of JSON, and back: what the ledger keeps of an image beside its answers.

    {"record": "dior/train/00001", "width": 800, ..., "objects": [["ship", [1.0, 2.0, 3.0, 4.0], null, ...]], ...}

An object is the list of its fields in the order in which its class states them; the values come back exactly.
"""

import json
from dataclasses import fields
from typing import Any

from rs_gpt4v_conversion.gpt4v.records import Facts
from rs_gpt4v_conversion.records import Object

_FACTS = tuple(f.name for f in fields(Facts))
_OBJECT = tuple(f.name for f in fields(Object))


def facts_json(facts: Facts) -> str:
    """Facts as JSON without a line end."""
    values = {name: getattr(facts, name) for name in _FACTS}
    values["objects"] = [[getattr(item, name) for name in _OBJECT] for item in facts.objects]
    # escapes keep a lone surrogate, which UTF-8 does not know
    return json.dumps(values, separators=(",", ":"))


def facts_of(text: str) -> Facts:
    """Read what `facts_json` wrote.

    Raises:
        ValueError: It is something else.
    """
    try:
        values = json.loads(text)
        objects = tuple(
            Object(**dict(zip(_OBJECT, map(_tuples, item), strict=True))) for item in values.pop("objects")
        )  # fmt: skip
        return Facts(objects=objects, **{name: _tuples(value) for name, value in values.items()})
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise ValueError(
            f"found {text[:80]!r}, expected the facts of an image as `facts_json` writes them: {error}"
        ) from None


def _tuples(value: Any) -> Any:
    return tuple(map(_tuples, value)) if isinstance(value, list) else value
