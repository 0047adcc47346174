"""Fetch one file over HTTP, going on where an earlier attempt stopped."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO
from urllib.parse import urlsplit
from urllib.request import url2pathname

import httpx

from antiphon.errors import Cancelled, Unavailable
from antiphon.models.store import WrongBytes, chunks_of, digest_of
from antiphon.models.trust import tls_context

_TRIES = 5
_BACKOFF_S = 0.5
_TRANSIENT = {408, 425, 429, 500, 502, 503, 504}

OnBytes = Callable[[int], None]
"""Told how many bytes more lie on the disk; fewer, when a part has to be thrown away."""


@dataclass(frozen=True)
class Transfer:
    """What to fetch, and how to know that it is the right thing. `sha256` is None when only the size is known."""

    url: str
    sha256: str | None
    size: int | None
    authorization: str | None = None


class _Interrupted(Exception):
    """The connection ended early; another attempt may go on."""


class Fetcher:
    """Fetches files over one pool of connections. Thread-safe; `stop` ends what runs."""

    def __init__(self, *, connect_timeout_s: float = 10.0, read_timeout_s: float = 60.0) -> None:
        self._stopping = threading.Event()
        self._sockets: set[socket.socket] = set()
        self._guard = threading.Lock()
        self._client = httpx.Client(
            verify=tls_context(),
            timeout=httpx.Timeout(read_timeout_s, connect=connect_timeout_s),
            follow_redirects=True,
            # The bytes as they lie on the server: a range of them means nothing after another encoding.
            headers={"Accept-Encoding": "identity"},
        )

    def __enter__(self) -> Fetcher:
        return self

    def __exit__(self, *exc: object) -> None:
        self._client.close()

    def stop(self) -> None:
        """Make running fetches raise `Cancelled` soon; what they have stays on the disk."""
        self._stopping.set()
        with self._guard:
            for connection in self._sockets:
                # A thread that waits for bytes hears of nothing else.
                with contextlib.suppress(OSError):
                    connection.shutdown(socket.SHUT_RDWR)

    def fetch(self, transfer: Transfer, part: Path, *, on_bytes: OnBytes) -> None:
        """Complete the file `part`, which may hold the beginning already.

        Raises `Unavailable` when the server cannot be reached or refuses, `WrongBytes` when it sends something else;
        the part is removed then, so that the next attempt starts afresh.
        """
        begun = part.stat().st_size if part.exists() else 0
        on_bytes(begun)
        self._complete(transfer, part, on_bytes=on_bytes)
        if self._is_right(transfer, part):
            return
        self._drop(part, on_bytes)
        if begun:  # the beginning was not from this file
            self._complete(transfer, part, on_bytes=on_bytes)
            if self._is_right(transfer, part):
                return
            self._drop(part, on_bytes)
        raise WrongBytes("the server sends other bytes than the manifest promises")

    def _complete(self, transfer: Transfer, part: Path, *, on_bytes: OnBytes) -> None:
        if urlsplit(transfer.url).scheme == "file":
            self._copy(transfer, part, on_bytes)
            return
        failures = 0
        while True:
            before = part.stat().st_size if part.exists() else 0
            if transfer.size is not None and before == transfer.size:
                return
            try:
                self._append(transfer, part, on_bytes)
                return
            except (_Interrupted, httpx.TransportError) as error:
                after = part.stat().st_size if part.exists() else 0
                failures = 1 if after > before else failures + 1
                if failures >= _TRIES:
                    raise Unavailable(f"{_host(transfer.url)}: {str(error) or type(error).__name__}") from None
            if self._stopping.wait(_BACKOFF_S * 2 ** (failures - 1)):
                raise Cancelled("The pull was stopped.")

    def _append(self, transfer: Transfer, part: Path, on_bytes: OnBytes) -> None:
        with part.open("ab") as out:
            begun = out.tell()
            headers = {"Range": f"bytes={begun}-"} if begun else {}
            if transfer.authorization:
                headers["Authorization"] = transfer.authorization
            with self._client.stream("GET", transfer.url, headers=headers) as response:
                status = response.status_code
                if status in _TRANSIENT:
                    raise _Interrupted(f"HTTP {status}")
                goes_on = status == 206 and response.headers.get("Content-Range", "").startswith(f"bytes {begun}-")
                if begun and not goes_on and status in (200, 206, 416):
                    out.truncate(0)
                    out.seek(0)
                    on_bytes(-begun)
                    if status != 200:
                        raise _Interrupted(f"HTTP {status} for a range")
                if not response.is_success:
                    raise Unavailable(f"{_host(transfer.url)}: HTTP {status}")
                # As it comes: collected into chunks, what came before a break would be lost.
                with self._stoppable(response):
                    self._write(response.iter_raw(), out, transfer=transfer, on_bytes=on_bytes)

    @contextlib.contextmanager
    def _stoppable(self, response: httpx.Response) -> Iterator[None]:
        stream = response.extensions.get("network_stream")
        connection = stream.get_extra_info("socket") if stream is not None else None
        if connection is None:
            yield
            return
        with self._guard:
            self._sockets.add(connection)
        try:
            yield
        finally:
            with self._guard:
                self._sockets.discard(connection)

    def _write(self, chunks: Iterator[bytes], out: BinaryIO, *, transfer: Transfer, on_bytes: OnBytes) -> None:
        size = out.tell()
        for chunk in chunks:
            if self._stopping.is_set():
                raise Cancelled("The pull was stopped.")
            size += len(chunk)
            if transfer.size is not None and size > transfer.size:
                return  # too long: the digest will tell
            out.write(chunk)
            on_bytes(len(chunk))
        if transfer.size is not None and size < transfer.size:
            raise _Interrupted(f"the connection ended after {size} of {transfer.size} bytes")

    def _copy(self, transfer: Transfer, part: Path, on_bytes: OnBytes) -> None:
        path = Path(url2pathname(urlsplit(transfer.url).path))
        self._drop(part, on_bytes)
        try:
            with path.open("rb") as source, part.open("wb") as out:
                self._write(chunks_of(source), out, transfer=transfer, on_bytes=on_bytes)
        except OSError as error:
            raise Unavailable(f"{path}: {error.strerror}") from None
        except _Interrupted:
            raise WrongBytes(f"{path} is shorter than the manifest says") from None

    def _is_right(self, transfer: Transfer, part: Path) -> bool:
        return transfer.sha256 is None or digest_of(part) == transfer.sha256

    def _drop(self, part: Path, on_bytes: OnBytes) -> None:
        with contextlib.suppress(FileNotFoundError):
            on_bytes(-part.stat().st_size)
            part.unlink()


def _host(url: str) -> str:
    return urlsplit(url).hostname or "the server"
