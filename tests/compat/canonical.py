"""What is compared of rows, in whatever way they were read. Needs the standard library only."""

import hashlib
import json
from collections.abc import Iterable
from typing import Any


def canonical(rows: Iterable[dict[str, Any]]) -> str:
    """A digest over all columns of all rows in order, images by the digest of their undecoded bytes."""
    digest = hashlib.sha256()
    for row in rows:
        image = row["image"]
        if image is not None:
            image = {"sha256": hashlib.sha256(image["bytes"]).hexdigest(), "path": image["path"]}
        digest.update(json.dumps({**row, "image": image}, sort_keys=True).encode())
    return digest.hexdigest()
