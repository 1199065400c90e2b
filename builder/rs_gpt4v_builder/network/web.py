"""Byte ranges over HTTP: pooled connections, redirects, and what each kind of answer means.

One `Web` serves all threads of a process. A redirect (the Hub sends each file to a CDN, by a signed URL) is followed
once and remembered, so that the next range of the file costs one round trip and not two; when the signed URL is over,
the first URL is asked again. A secret never goes to another host, and never into a message.
"""

import email.utils
import re
import socket
import ssl
import time
import urllib.request
from collections.abc import Mapping
from contextlib import suppress
from threading import Event
from typing import Any
from urllib.parse import urljoin, urlsplit
from weakref import WeakSet

import urllib3
from urllib3.connection import HTTPConnection, HTTPSConnection

from rs_gpt4v_builder.errors import ReleaseError
from rs_gpt4v_builder.network.retry import PassingFaultError, StoppedError, persistently

CONNECTIONS = 96
"""Connections to one host that are kept for the next request: more than are in use at a time."""

CONNECT, READ = 5.0, 20.0
"""Seconds that a connection may take, and that may pass without a byte."""

PIECE = 1 << 20
"""Bytes that are read at a time; between two pieces it is looked whether they are still wanted."""

REDIRECTS = 5
_REDIRECT, _OVER, _PASSING = (301, 302, 303, 307, 308), (400, 401, 403, 404, 410), (408, 425, 429)


class Web:
    """A client for the files below one URL. Its methods may be called from several threads.

    Args:
        headers: Sent to the hosts of the URLs that are asked for, never to where those redirect.

    Attributes:
        commit: That the Hub answered from, empty before it said so.
    """

    def __init__(self, headers: Mapping[str, str]) -> None:
        self._headers = dict(headers)
        self._sockets: WeakSet[socket.socket] = WeakSet()
        self._moved: dict[str, str] = {}
        self.commit = ""
        self._pool = self._make_pool()

    def get(self, url: str, start: int, end: int | None, size: int | None, stop: Event) -> bytes:
        """Read bytes `start` to `end` (exclusive; None is the file's end) of a file.

        Args:
            url: Of the file.
            start: First byte.
            end: The byte behind the last.
            size: Of the whole file, where it is known: another one is an error.
            stop: Ends the read.

        Raises:
            ReleaseError: The server refuses, or does not answer rightly in several tries.
            StoppedError: `stop` was set.
        """
        return persistently(shown(url), lambda: self._once(url, start, end, size, stop), stop)

    def abort(self) -> None:
        """End all reads of all threads now: for the end of the process."""
        for open_socket in list(self._sockets):
            with suppress(OSError):
                # the plain socket's method: that of a TLS socket would take its state from under the reading thread
                socket.socket.shutdown(open_socket, socket.SHUT_RDWR)

    def _once(self, url: str, start: int, end: int | None, size: int | None, stop: Event) -> bytes:
        ranged = {} if start == 0 and end is None else {"Range": f"bytes={start}-{'' if end is None else end - 1}"}
        response = self._open(url, ranged, stop)
        try:
            if response.status not in (200, 206):
                raise _refusal(response, shown(url))
            count = _expected(response, url, start, end, size)
            return _body(response, count, shown(url), stop)
        except urllib3.exceptions.HTTPError as error:
            raise PassingFaultError(f"a cut connection ({_cause(error)})") from error
        finally:
            response.close()  # a body that was read to its end has given its connection back already

    def _open(self, url: str, ranged: Mapping[str, str], stop: Event) -> Any:
        """Ask, along redirects: the response, its body not yet read."""
        remembered = self._moved.get(url)
        if remembered:
            response = self._ask(remembered, url, ranged, stop)
            if response.status not in (*_OVER, *_REDIRECT):
                return response
            response.close()
            self._moved.pop(url, None)  # a signed URL whose time is over
        at = url
        for _ in range(REDIRECTS):
            response = self._ask(at, url, ranged, stop)
            if response.status not in _REDIRECT or "Location" not in response.headers:
                if at != url and response.status in (200, 206):
                    self._moved[url] = at
                return response
            at = urljoin(at, response.headers["Location"])
            response.drain_conn()
            response.release_conn()
        raise ReleaseError(f"{shown(url)} is redirected more than {REDIRECTS} times; check the URL")

    def _ask(self, url: str, first: str, ranged: Mapping[str, str], stop: Event) -> Any:
        if stop.is_set():
            raise StoppedError(url)
        own = self._headers if _host(url) == _host(first) else {}
        headers = {"Accept-Encoding": "identity", **own, **ranged}
        try:
            response = self._pool.request("GET", url, headers=headers, redirect=False, preload_content=False)
        except urllib3.exceptions.LocationValueError as error:
            raise ReleaseError(f"{shown(url)} is no URL that can be asked ({error})") from error
        except urllib3.exceptions.SSLError as error:
            if isinstance(error.args[0], ssl.SSLCertVerificationError):
                raise ReleaseError(f"{shown(url)} has a certificate that is not trusted ({_cause(error)})") from error
            raise PassingFaultError(f"no answer ({_cause(error)})") from error
        except urllib3.exceptions.HTTPError as error:
            raise PassingFaultError(f"no answer ({_cause(error)})") from error
        self.commit = self.commit or response.headers.get("X-Repo-Commit", "")
        return response

    def _make_pool(self) -> urllib3.PoolManager:
        sockets = self._sockets

        class Plain(HTTPConnection):
            def connect(self) -> None:
                super().connect()
                sockets.add(self.sock)

        class Secure(HTTPSConnection):
            def connect(self) -> None:
                super().connect()
                sockets.add(self.sock)

        class PlainPool(urllib3.HTTPConnectionPool):
            ConnectionCls = Plain

        class SecurePool(urllib3.HTTPSConnectionPool):
            ConnectionCls = Secure

        timeout = urllib3.Timeout(connect=CONNECT, read=READ)
        made = _Proxied(maxsize=CONNECTIONS, retries=False, timeout=timeout)
        made.pool_classes_by_scheme = {"http": PlainPool, "https": SecurePool}
        return made


class _Proxied(urllib3.PoolManager):
    """Goes through the proxies that the environment names (`https_proxy`, `no_proxy`)."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self._options, self._proxies = options, dict[str, urllib3.ProxyManager]()

    def urlopen(self, method: str, url: str, redirect: bool = True, **options: Any) -> Any:  # type: ignore[override]
        parts = urlsplit(url)
        proxy = urllib.request.getproxies().get(parts.scheme)
        if not proxy or urllib.request.proxy_bypass(parts.hostname or ""):
            return super().urlopen(method, url, redirect, **options)
        if proxy not in self._proxies:
            self._proxies[proxy] = urllib3.ProxyManager(proxy, **self._options)
        return self._proxies[proxy].urlopen(method, url, redirect, **options)


def shown(url: str) -> str:
    """A URL as a message may show it: without what signs it and without a password."""
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https"):
        return url
    host = parts.netloc.rpartition("@")[2]
    return f"{parts.scheme}://{host}{parts.path}" + ("?…" if parts.query else "")


def _host(url: str) -> tuple[str, str]:
    parts = urlsplit(url)
    return parts.scheme, parts.netloc


def _cause(error: BaseException) -> str:
    reason = getattr(error, "reason", None)
    text = str(reason if isinstance(reason, BaseException) else error)
    return re.sub(r"^<[^>]*>: |^HTTPS?Connection[^:]*: ", "", text)


def _expected(response: Any, url: str, start: int, end: int | None, size: int | None) -> int | None:
    """Number of bytes that the body has to have, None where nobody knows.

    Raises:
        ReleaseError: The server ignores ranges, or the file has another size than the manifest says.
    """
    total: int | None
    if response.status == 200:
        length = response.headers.get("Content-Length")
        total = int(length) if length and length.isdigit() else None
        if start > 0 or (end is not None and end != total and end != size):
            raise ReleaseError(
                f"the server of {shown(url)} ignores Range and sends whole files: no release can be read from it piece "
                "by piece; copy the release to a disk, or put it on a server that knows ranges"
            )
        first = 0
    else:
        found = re.fullmatch(r"bytes (\d+)-(\d+)/(\d+|\*)", response.headers.get("Content-Range", "").strip())
        if found is None:
            raise PassingFaultError(f"206 with Content-Range {response.headers.get('Content-Range')!r}")
        first, total = int(found[1]), None if found[3] == "*" else int(found[3])
    if size is not None and total is not None and total != size:
        raise ReleaseError(
            f"{shown(url)} has {total:,} bytes, the manifest says {size:,}: the release was changed; open it anew"
        )
    if first != start:
        raise PassingFaultError(f"bytes from {first:,} on where those from {start:,} on were asked for")
    if end is None:
        return None if total is None else total - start
    return end - start


def _body(response: Any, count: int | None, where: str, stop: Event) -> bytes:
    data = bytearray()
    while piece := response.read(PIECE, decode_content=False):
        data += piece
        if stop.is_set():
            raise StoppedError(where)
        if count is not None and len(data) > count:
            raise PassingFaultError(f"more than the {count:,} bytes asked for")
    if count is not None and len(data) < count:
        raise PassingFaultError(f"a short body ({len(data):,} of {count:,} bytes)")
    return bytes(data)


def _refusal(response: Any, where: str) -> Exception:
    """What an answer that is no success means."""
    status = response.status
    said = f"HTTP {status} {response.reason or ''}".strip()
    if status in _PASSING or status >= 500:
        return PassingFaultError(said, _retry_after(response.headers.get("Retry-After")))
    if status in (404, 410):
        return ReleaseError(f"{where} is not there ({said}): check the URL and that the release is complete")
    if status in (401, 403):
        return ReleaseError(
            f"{where} may not be read ({said}): log in (`hf auth login` for the Hub), or renew a signed URL"
        )
    if status == 416:
        return ReleaseError(f"{where} is shorter than the release's manifest says ({said}): open the release anew")
    return ReleaseError(f"{where} cannot be read ({said}); check the URL")


def _retry_after(value: str | None) -> float | None:
    """Seconds that a `Retry-After` asks for: a number, or a date."""
    if value is None:
        return None
    if value.strip().isdigit():
        return float(value)
    with suppress(TypeError, ValueError):
        return max(0.0, email.utils.parsedate_to_datetime(value).timestamp() - time.time())
    return None
