"""`<part>.batch.json`: how far the submission of a request file is. Written anew after each step.

{"sha256": of the request file, "url": of the server,
 "upload": the file object, "batch": the batch object, as the vendor returned them last, or null,
 "earlier": [batch objects of this file that came to nothing],
 "files": {"output": {"id": of the vendor's file, "name": of the answer file, "done": true}, "error": ...}}
"""

import json
from dataclasses import asdict, dataclass, field
from typing import Any

from rs_gpt4v_conversion.errors import UsageError
from rs_gpt4v_conversion.files import write_bytes
from rs_gpt4v_conversion.gpt4v.workspace import Part

ENDED = ("completed", "expired", "cancelled", "failed")
"""States in which the vendor does no more for a batch."""


@dataclass(slots=True, kw_only=True)
class State:
    """What a batch.json holds."""

    sha256: str
    url: str
    upload: dict[str, Any] | None = None
    batch: dict[str, Any] | None = None
    earlier: list[dict[str, Any]] = field(default_factory=list)
    files: dict[str, dict[str, Any]] = field(default_factory=dict)

    @property
    def status(self) -> str:
        """Of the batch; `uploaded` or `new` where there is none."""
        if self.batch is not None:
            return str(self.batch.get("status"))
        return "uploaded" if self.upload is not None else "new"

    @property
    def ended(self) -> bool:
        """Whether the vendor does no more for the batch."""
        return self.status in ENDED

    @property
    def void(self) -> bool:
        """Whether the batch came to nothing, so that nothing is paid for twice when another is made."""
        return self.status in ("failed", "cancelled", "expired") and not self.outputs()

    @property
    def waiting(self) -> bool:
        """Whether answers may be on their way: the batch is at work, or holds files that were not fetched."""
        if self.batch is None:
            return False
        return not self.ended or any(not self.files.get(kind, {}).get("done") for kind in self.outputs())

    def outputs(self) -> dict[str, str]:
        """The vendor's ids of the files of answers and of errors, by kind."""
        found = {kind: (self.batch or {}).get(f"{kind}_file_id") for kind in ("output", "error")}
        return {kind: str(name) for kind, name in found.items() if name}


def load(part: Part) -> State | None:
    """What is known of a part's submission, None where it was not submitted.

    Raises:
        UsageError: The file is not what `save` writes.
    """
    try:
        return State(**json.loads(part.batch.read_bytes()))
    except FileNotFoundError:
        return None
    except (ValueError, TypeError) as error:
        raise UsageError(
            f"{part.batch}: not what `rs-gpt4v gpt4v submit` writes: {error}; without this file a batch that is at "
            "work is found again by its request file's sha256"
        ) from None


def save(part: Part, state: State) -> None:
    """Write it, whole or not at all."""
    write_bytes(part.batch, json.dumps(asdict(state), indent=1, ensure_ascii=False).encode() + b"\n")
