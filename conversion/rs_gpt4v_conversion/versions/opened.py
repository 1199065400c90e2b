"""A release to hold another one against, on this machine or at an address. No byte of an image is read."""

import contextlib
import re
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rs_gpt4v_conversion.errors import UsageError
from rs_gpt4v_conversion.manifest import NAME
from rs_gpt4v_conversion.release import UNREADABLE, ReleaseFolder, ShardEntry, parse_manifest, shard_entries

if TYPE_CHECKING:
    import rs_gpt4v

_CONTRACT = re.compile(r"(\d+)\.(\d+)\.\d+")


class ReleaseAt:
    """A release and where it lies.

    Args:
        address: A release folder, or its address: `hf://datasets/<name>@<revision>`, `https://...`, whatever fsspec
            reads. Without a revision the Hub gives what its main branch holds now.

    Attributes:
        version: Its number.
        date: Its date.

    Raises:
        UsageError: There is no release, or one of a contract that this program does not know.
    """

    def __init__(self, address: str) -> None:
        self.address = address.rstrip("/") or address
        self.manifest: dict[str, Any] = self._manifest()
        self.shards: list[ShardEntry] = shard_entries(self.manifest, f"{self.address}/{NAME}")
        self.version, self.date = (self._word(key) for key in ("version", "date"))
        self._check_contract()

    def shard(self, entry: ShardEntry) -> "rs_gpt4v.ShardFile":
        """Open one of its shards: the footer is read, nothing else.

        Raises:
            UsageError: It is not there, or not what the manifest lists.
        """
        import rs_gpt4v

        with self.read(entry.path):
            shard = rs_gpt4v.ShardFile(*rs_gpt4v.locate(f"{self.address}/{entry.path}", {}), entry.bytes)
        if shard.metadata.num_rows != entry.rows:
            raise UsageError(
                f"{self.address}: {entry.path} holds {shard.metadata.num_rows:,} rows, expected the {entry.rows:,} "
                f"that {NAME} lists"
            )
        return shard

    def text(self, path: str) -> str:
        """One of its text files, or nothing where the manifest lists no such file.

        Raises:
            UsageError: It is listed and cannot be read.
        """
        if path not in self.manifest["files"]:
            return ""
        with self.read(path):
            return self._content(path).decode()

    @contextlib.contextmanager
    def read(self, path: str) -> Iterator[None]:
        """Turn what goes wrong while `path` is read into a sentence."""
        try:
            yield
        except FileNotFoundError:
            raise UsageError(f"{self.address}: lacks {path}, which its {NAME} lists") from None
        except UNREADABLE as error:
            raise UsageError(f"{self.address}: {path} cannot be read ({error})") from None

    def _manifest(self) -> dict[str, Any]:
        if "://" not in self.address:
            return self._folder()
        try:
            content = self._content(NAME)
        except FileNotFoundError:
            raise UsageError(f"{self.address}: holds no {NAME}, expected the address of a release") from None
        except (OSError, ValueError, ImportError) as error:  # fsspec: no such protocol, or its library is not there
            raise UsageError(f"{self.address}: cannot be read ({error})") from None
        return parse_manifest(content, f"{self.address}/{NAME}")

    def _folder(self) -> dict[str, Any]:
        folder = Path(self.address)
        if not folder.exists() and re.fullmatch(r"[\w.-]+/[\w.-]+(@[\w./-]+)?", self.address):
            raise UsageError(
                f"{folder}: there is no such folder; a repository of the Hub is hf://datasets/{self.address}"
            )
        return ReleaseFolder(folder).manifest

    def _content(self, path: str) -> bytes:
        import rs_gpt4v

        fs, place = rs_gpt4v.locate(f"{self.address}/{path}", {})
        fs.invalidate_cache()  # of listings: a branch may have moved since this process looked at it
        return rs_gpt4v.read_bytes(fs, place)

    def _word(self, key: str) -> str:
        value = self.manifest[key]
        if not isinstance(value, str):
            raise UsageError(f"{self.address}/{NAME}: {key} is {value!r}, expected text")
        return value

    def _check_contract(self) -> None:
        """Refuse rows of a later contract: what their columns mean is not known here. Earlier ones can be compared."""
        import rs_gpt4v

        contract = self.manifest.get("contract", rs_gpt4v.VERSION)
        known = _CONTRACT.fullmatch(rs_gpt4v.VERSION)
        found = _CONTRACT.fullmatch(contract) if isinstance(contract, str) else None
        if known is None or found is None:
            raise UsageError(f"{self.address}/{NAME}: contract is {contract!r}, expected three numbers such as 0.1.0")
        if _numbers(found) > _numbers(known):
            raise UsageError(
                f"{self.address}: is a release of contract {contract}, this program knows those up to "
                f"{rs_gpt4v.VERSION}; install a newer rs-gpt4v"
            )


def _numbers(version: re.Match[str]) -> tuple[int, int]:
    return int(version[1]), int(version[2])
