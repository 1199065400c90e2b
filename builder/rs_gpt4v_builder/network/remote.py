"""The files of a release over a network, by byte range.

`https://`, `http://` and `hf://` go through `Web`: the Hub is a web server whose URLs and token huggingface_hub knows.
Everything else goes through `fsspec`.
"""

import asyncio
import concurrent.futures
import hashlib
import os
import re
from collections.abc import Callable, Mapping, Sequence
from threading import Event, Thread
from typing import Any, Protocol
from urllib.parse import quote, unquote, urlsplit, urlunsplit

from rs_gpt4v_builder.errors import ReleaseError
from rs_gpt4v_builder.network.lifetime import track, untrack
from rs_gpt4v_builder.network.retry import PassingFaultError, StoppedError, persistently
from rs_gpt4v_builder.network.web import Web, shown
from rs_gpt4v_builder.release.store import Store

_HUB = re.compile(
    r"hf://(?P<kind>datasets|spaces|buckets)/(?P<repo>[^/@]+/[^/@]+)"
    r"(?:@(?P<revision>refs/(?:convert|pr)/[^/]+|[^/]+))?(?:/(?P<folder>.*))?"
)
NEVER = Event()
"""Set by nobody: for reads that go on to their end."""


class Transport(Protocol):
    """How bytes come from one place. Its methods may be called from several threads."""

    def get(self, path: str, start: int, end: int | None, size: int | None, stop: Event) -> bytes:
        """Read bytes of a file; see `RemoteStore.read`."""

    def paths(self, folder: str) -> list[str]:
        """List the files below a folder."""

    def abort(self) -> None:
        """End all reads now."""


class RemoteStore:
    """A release at a URL. Can be pickled, and used after a fork: each process has connections of its own.

    Args:
        where: `https://…`, `http://…`, `hf://datasets/<owner>/<name>[@<revision>][/<folder>]`, or what `fsspec` knows.
    """

    remote = True

    def __init__(self, where: str) -> None:
        self._url = where if "?" in where else where.rstrip("/")
        self.where = shown(self._url)
        self._make = _transport(self._url)
        self._sizes: dict[str, int] = {}
        self._digests: dict[str, str] = {}
        self._begun: dict[str, _Begun] = {}
        self._process, self._transport = os.getpid(), self._make()

    def __reduce__(self) -> tuple[type["RemoteStore"], tuple[str]]:
        return RemoteStore, (self._url,)

    def learn(self, sizes: Mapping[str, int], digests: Mapping[str, str] | None = None) -> None:
        """Take note of what the manifest says of files.

        Args:
            sizes: In bytes, so that no server is asked for them.
            digests: SHA-256 of some of them, which is checked where they are read as a whole.
        """
        self._sizes, self._digests = dict(sizes), dict(digests or {})

    def begin(self, path: str) -> None:
        """Begin to read a whole file beside what else is done; the next `read` of it waits for that."""
        self._begun[path] = _Begun(self, lambda stop: self._get(path, 0, None, stop))

    def drop(self, path: str) -> None:
        """Give up what was begun."""
        begun = self._begun.pop(path, None)
        if begun is not None:
            begun.close()

    def read(self, path: str, start: int = 0, end: int | None = None, stop: Event = NEVER) -> bytes:
        """Read bytes `start` to `end` (exclusive; None is the file's end) of a file.

        Args:
            path: Of the file in the release.
            start: First byte.
            end: The byte behind the last.
            stop: Ends the read when it is set.

        Raises:
            ReleaseError: There is no such file, it may not be read, it is shorter than that, or the network fails.
            StoppedError: `stop` was set.
        """
        begun = self._begun.pop(path, None) if start == 0 and end is None else None
        data = self._get(path, start, end, stop) if begun is None else begun.result()
        wanted = self._digests.get(path) if start == 0 and end is None else None
        if wanted is not None and hashlib.sha256(data).hexdigest() != wanted:
            found = f"{self.where}/{path} is not the file that the manifest lists"
            raise ReleaseError(f"{found}: the release was changed while it was opened; open it anew")
        return data

    def read_many(self, path: str, ranges: Sequence[tuple[int, int]], stop: Event = NEVER) -> list[bytes]:
        """Read several ranges of a file at the same time; see `read`."""
        ends = None if stop is NEVER else stop
        others = [self._begin(path, part, ends) for part in ranges[1:]]
        try:
            first = [self._get(path, start, end, stop) for start, end in ranges[:1]]
            return first + [other.result() for other in others]
        except BaseException:
            for other in others if ends is None else ():  # else whoever set `stop` ends them
                other.close()
            raise

    def _begin(self, path: str, part: tuple[int, int], ends: Event | None) -> "_Begun":
        return _Begun(self, lambda stop: self._get(path, part[0], part[1], stop), ends)

    def until(self, stop: Event) -> "Store":
        """These files, the reads of which end when `stop` is set."""
        return _Until(self, stop)

    def size(self, path: str) -> int:
        """Return a file's size in bytes, as the manifest says it."""
        if path not in self._sizes:
            raise ReleaseError(f"{self.where}: the manifest does not list {path}; open the release anew")
        return self._sizes[path]

    def paths(self, folder: str) -> list[str]:
        """List the files below a folder."""
        return self._connected().paths(folder)

    def abort(self) -> None:
        """End all reads of all threads now: for the end of the process."""
        self._transport.abort()

    def _get(self, path: str, start: int, end: int | None, stop: Event) -> bytes:
        return self._connected().get(path, start, end, self._sizes.get(path), stop)

    def _connected(self) -> Transport:
        if self._process != os.getpid():  # connections are never shared with the process that this one was forked from
            self._process, self._transport = os.getpid(), self._make()
        return self._transport


class _Until:
    """A store whose reads end when an event is set."""

    remote = True

    def __init__(self, store: RemoteStore, stop: Event) -> None:
        self.where, self._store, self._stop = store.where, store, stop
        self.size, self.paths = store.size, store.paths

    def read(self, path: str, start: int = 0, end: int | None = None) -> bytes:
        return self._store.read(path, start, end, self._stop)

    def read_many(self, path: str, ranges: Sequence[tuple[int, int]]) -> list[bytes]:
        return self._store.read_many(path, ranges, self._stop)


class _Begun:
    """A read that runs in a thread of its own."""

    def __init__(self, store: RemoteStore, read: Callable[[Event], bytes], stop: Event | None = None) -> None:
        self._store, self._read, self._stop = store, read, stop or Event()
        self._data: bytes | None = None
        self._error: Exception | None = None
        self._thread = Thread(target=self._run, name="rs-gpt4v read")
        track(self)
        self._thread.start()

    def _run(self) -> None:
        try:
            self._data = self._read(self._stop)
        except (ReleaseError, StoppedError) as error:
            self._error = error
        finally:
            untrack(self)

    def close(self) -> None:
        """End it."""
        self._stop.set()
        self._store.abort()

    def result(self) -> bytes:
        """Wait for it.

        Raises:
            ReleaseError: It failed.
            StoppedError: It was ended.
        """
        self._thread.join()
        if self._data is None:
            raise self._error or StoppedError("closed")
        return self._data


def _transport(where: str) -> Callable[[], Transport]:
    scheme = where.split("://")[0]
    if scheme in ("http", "https"):
        return lambda: _Folder(where)
    if scheme == "hf":
        found = _HUB.fullmatch(where)
        if found is None or found["kind"] != "datasets":
            raise ReleaseError(
                f"{where} names no dataset: expected hf://datasets/<owner>/<name>[@<revision>][/<folder>]"
            )
        return lambda: _Hub(found["repo"], unquote(found["revision"] or "main"), (found["folder"] or "").strip("/"))
    return lambda: _System(where)


class _Folder:
    """A folder of a web server. What follows a `?` in its URL goes behind the URL of each file."""

    def __init__(self, where: str) -> None:
        self._parts = urlsplit(where)
        user, _, host = self._parts.netloc.rpartition("@")
        headers = {}
        if user:
            import urllib3

            headers = urllib3.make_headers(basic_auth=unquote(user))
        self._host, self._web = host, Web(headers)

    def get(self, path: str, start: int, end: int | None, size: int | None, stop: Event) -> bytes:
        parts = self._parts
        whole = f"{parts.path.rstrip('/')}/{quote(path)}"
        url = urlunsplit((parts.scheme, self._host, whole, parts.query, ""))
        return self._web.get(url, start, end, size, stop)

    def paths(self, folder: str) -> list[str]:
        raise ReleaseError(
            f"{self._parts.scheme}://{self._host} lists no files, and the manifest does not list {folder}/"
        )

    def abort(self) -> None:
        self._web.abort()


class _Hub:
    """A dataset on the Hub, with the user's token."""

    def __init__(self, repo: str, revision: str, folder: str) -> None:
        from huggingface_hub import constants, get_token

        self._repo, self._revision, self._folder = repo, revision, folder
        token = None if constants.HF_HUB_DISABLE_IMPLICIT_TOKEN else get_token()
        self._web = Web({"Authorization": f"Bearer {token}"} if token else {})

    def get(self, path: str, start: int, end: int | None, size: int | None, stop: Event) -> bytes:
        from huggingface_hub import hf_hub_url

        revision = self._web.commit or self._revision  # a branch may move on while it is read
        url = hf_hub_url(self._repo, path, subfolder=self._folder or None, repo_type="dataset", revision=revision)
        return self._web.get(url, start, end, size, stop)

    def paths(self, folder: str) -> list[str]:
        from huggingface_hub import HfApi

        before = f"{self._folder}/" if self._folder else ""
        names = HfApi().list_repo_files(self._repo, repo_type="dataset", revision=self._revision)
        within = f"{before}{folder}".strip("/")
        return sorted(name.removeprefix(before) for name in names if name.startswith(f"{within}/" if within else ""))

    def abort(self) -> None:
        self._web.abort()


class _System:
    """A file system of `fsspec`."""

    def __init__(self, where: str) -> None:
        import fsspec

        self._where = where
        self._system, self._root = fsspec.core.url_to_fs(where)

    def get(self, path: str, start: int, end: int | None, size: int | None, stop: Event) -> bytes:
        return persistently(f"{self._where}/{path}", lambda: self._once(path, start, end, stop), stop)

    def paths(self, folder: str) -> list[str]:
        found = self._system.find(f"{self._root}/{folder}".rstrip("/"))
        return sorted(path.removeprefix(f"{self._root}/") for path in found)

    def abort(self) -> None:
        """Nothing: a thread that waits sees its `stop` within a moment."""

    def _once(self, path: str, start: int, end: int | None, stop: Event) -> bytes:
        name, where = f"{self._root}/{path}", f"{self._where}/{path}"
        options: dict[str, Any] = {} if start == 0 and end is None else {"start": start, "end": end}
        try:
            data = self._wait(name, options, stop) if self._is_async else self._system.cat_file(name, **options)
        except FileNotFoundError as error:
            raise ReleaseError(f"{where} is not there: check the URL and that the release is complete") from error
        except PermissionError as error:
            raise ReleaseError(f"{where} may not be read ({error}): check your credentials for it") from error
        except (OSError, EOFError) as error:
            raise PassingFaultError(f"{type(error).__name__} ({error})") from error
        if end is not None and len(data) != end - start:
            raise PassingFaultError(f"a short body ({len(data):,} of {end - start:,} bytes)")
        return bytes(data)

    @property
    def _is_async(self) -> bool:
        return bool(getattr(self._system, "async_impl", False)) and not self._system.asynchronous

    def _wait(self, name: str, options: Mapping[str, Any], stop: Event) -> bytes:
        """Read on the file system's own loop, and look now and then whether the bytes are still wanted."""
        running = asyncio.run_coroutine_threadsafe(self._system._cat_file(name, **options), self._system.loop)
        while True:
            try:
                data: bytes = running.result(timeout=0.2)
                return data
            except concurrent.futures.TimeoutError:
                if running.done():
                    raise
                if stop.is_set():
                    running.cancel()
                    raise StoppedError(name) from None
