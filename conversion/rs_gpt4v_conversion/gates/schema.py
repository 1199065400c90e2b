"""Every shard of data/ and mini/ is Parquet and has the contract's columns, by name and type."""

import pyarrow as pa
import pyarrow.parquet as pq

from rs_gpt4v_conversion.gates._gate import Findings, GateResult
from rs_gpt4v_conversion.release import UNREADABLE, ReleaseFolder


def schema_gate(release: ReleaseFolder, schema: pa.Schema) -> GateResult:
    """Read the footer of every shard; rows of a shard that fails here are not looked at any further."""
    findings = Findings("schema")
    for name in (*(s.path for s in release.shards), *release.mini):
        try:
            with pq.ParquetFile(release.path / name) as file:
                found = file.schema_arrow
        except UNREADABLE as error:
            findings.add(name, f"cannot be read: {error}")
            continue
        if not found.equals(schema, check_metadata=False):
            findings.add(name, f"has other columns than the contract: {_difference(found, schema)}")
    return findings.result()


def _difference(found: pa.Schema, schema: pa.Schema) -> str:
    lacks = [n for n in schema.names if n not in found.names]
    more = [n for n in found.names if n not in schema.names]
    other = [n for n in schema.names if n in found.names and found.field(n).type != schema.field(n).type]
    parts = {"lacks": lacks, "has besides": more, "other type": other}
    return "; ".join(f"{what} {', '.join(names)}" for what, names in parts.items() if names) or "other order"
