"""Every file that the manifest lists is there with its size and digest, and no other file is."""

from typing import Any

from rs_gpt4v_conversion.files import sha256
from rs_gpt4v_conversion.gates._gate import Findings, GateResult
from rs_gpt4v_conversion.manifest import release_files
from rs_gpt4v_conversion.release import ReleaseFolder


def manifest_gate(release: ReleaseFolder) -> GateResult:
    """Hold the folder against its manifest. Hidden files are the Hub's and git's, and are not looked at."""
    findings = Findings("manifest")
    listed: dict[str, Any] = {s.path: (s.bytes, s.sha256) for s in release.shards}
    listed.update({name: (file.get("bytes"), file.get("sha256")) for name, file in release.files.items()})
    for name, (size, digest) in listed.items():
        flaw = _flaw(release, name, size, digest)
        if flaw:
            findings.add(name, flaw)
    for name in release_files(release.path):
        if name not in listed:
            findings.add(name, "is there and not listed")
    return findings.result()


def _flaw(release: ReleaseFolder, name: str, size: Any, digest: Any) -> str:
    path = release.path / name
    if not path.is_file():
        return "is listed and not there"
    if path.stat().st_size != size:
        return f"has {path.stat().st_size} bytes, {size} are listed"
    try:
        return "" if sha256(path) == digest else "has another digest than listed"
    except OSError as error:
        return f"cannot be read: {error.strerror}"
