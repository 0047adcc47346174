"""Post events to receivers and fetch files, wherever strangers say they are."""

from __future__ import annotations

import asyncio
import ssl
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from contextlib import AbstractAsyncContextManager, aclosing, asynccontextmanager, contextmanager
from datetime import UTC, datetime
from http import HTTPStatus
from typing import TYPE_CHECKING

import httpcore
import httpx

from antiphon.egress.network import Resolve, SystemResolver, VettedNetwork
from antiphon.egress.replies import Fetched, Headers, Reply, Streamed, read_headers, retry_after_s
from antiphon.egress.rules import EgressBlocked, EgressRules
from antiphon.errors import InvalidValue, Unavailable

if TYPE_CHECKING:
    from antiphon.settings import EgressSettings

CONNECT_TIMEOUT_S = 5.0
MAX_CONNECTIONS = 64
MAX_REDIRECTS = 5
FETCH_TIMEOUT_S = 3600.0
PATIENCE_S = 30.0
"""Seconds that a file may take however small it is, and that a host may be silent in the middle of a large one."""
SLOWEST_BYTES_PER_S = 32 * 1024
"""A host that sends less than this on average, when its patience is used up, is given up."""

_IDLE_CONNECTION_S = 5.0
_LONGEST_WAIT_S = 600.0
_REDIRECTS = frozenset({301, 302, 303, 307, 308})
_PASSING = frozenset({408, 425, 429})
"""Refusals that do not last, besides 5xx."""
_SILENT = "The host of the URL did not answer in time."

Sink = Callable[[bytes], Awaitable[object]]
"""Takes a piece of a file."""


@asynccontextmanager
async def open_egress(
    settings: EgressSettings, *, resolve: Resolve | None = None, dial: httpcore.AsyncNetworkBackend | None = None
) -> AsyncIterator[Egress]:
    """Open a client for hosts that strangers name. `resolve` and `dial` stand in for the system's own."""
    rules = EgressRules.of(settings)
    system = SystemResolver()
    tls = await asyncio.to_thread(httpcore.default_ssl_context)
    networks = {
        scheme: VettedNetwork(rules, scheme=scheme, resolve=resolve or system, dial=dial)
        for scheme in ("https", "http")
    }
    try:
        async with _pool(networks["https"], tls) as secure, _pool(networks["http"], tls) as plain:
            yield Egress(rules, {"https": secure, "http": plain})
    finally:
        system.close()


class Egress:
    """Asks hosts that strangers name. Sends no cookies and no credentials; knows no proxy and decodes nothing."""

    def __init__(self, rules: EgressRules, pools: Mapping[str, httpcore.AsyncConnectionPool]) -> None:
        self._rules = rules
        self._pools = pools

    def check_url(self, url: str, *, param: str | None = None) -> None:
        """Raise `InvalidValue` for a URL that is refused whatever the name of its host means. Resolves nothing."""
        self._rules.check_url(url, param=param)

    async def post(
        self, url: str, *, headers: Mapping[str, str], content: bytes, timeout_s: float, max_response_bytes: int
    ) -> Reply:
        """Post `content` and return the answer, whatever its status; a redirect is an answer like any other.

        A host has answered when its status is there; its body is what comes within the time and the limit.
        Raises `InvalidValue` and `EgressBlocked` for the URL, `Unavailable` when there is no answer.
        """
        target = self._rules.check_url(url)
        started_s = time.monotonic()
        status: int | None = None
        received: Headers = {}
        body = bytearray()
        try:
            async with (
                asyncio.timeout(timeout_s),
                self._ask("POST", target, headers=headers, content=content, idle_s=timeout_s) as response,
            ):
                status, received = response.status, read_headers(response.headers)
                async with _pieces(response) as pieces:
                    async for piece in pieces:
                        body += piece[: max_response_bytes - len(body)]
                        if len(body) >= max_response_bytes:
                            break
        except (TimeoutError, Unavailable) as error:
            if status is None:
                raise error if isinstance(error, Unavailable) else Unavailable(_SILENT) from None
        duration_ms = round((time.monotonic() - started_s) * 1000)
        return Reply(status_code=status or 0, headers=received, body=bytes(body), duration_ms=duration_ms)

    @asynccontextmanager
    async def stream(
        self, method: str, url: str, *, headers: Mapping[str, str], content: bytes, idle_s: float
    ) -> AsyncIterator[Streamed]:
        """Ask for something whose answer is read as it comes, however long that takes; a redirect is an answer.

        `idle_s` is how long the host may be silent, in seconds. Raises `InvalidValue` and `EgressBlocked` for the URL,
        `Unavailable` when there is no answer, also while its body is read.
        """
        target = self._rules.check_url(url)
        async with (
            self._ask(method, target, headers=headers, content=content, idle_s=idle_s) as response,
            _pieces(response) as pieces,
        ):
            yield Streamed(
                status_code=response.status, headers=read_headers(response.headers), pieces=_told_pieces(pieces)
            )

    async def fetch(
        self, url: str, sink: Sink, *, max_bytes: int, timeout_s: float = FETCH_TIMEOUT_S, param: str | None = None
    ) -> Fetched:
        """Pass a file to `sink` piece by piece; redirects are followed, each to a place that is vetted again.

        Raises `InvalidValue` for a URL that will never give a file of at most `max_bytes`, among them `EgressBlocked`,
        and `Unavailable` when another attempt may help. `param` names the parameter. The sink's errors pass through.
        """
        target = self._rules.check_url(url, param=param)
        started_s = asyncio.get_running_loop().time()
        try:
            async with asyncio.timeout(min(PATIENCE_S, timeout_s)) as limit:

                async def take(piece: bytes, size: int) -> None:
                    limit.reschedule(started_s + min(PATIENCE_S + size / SLOWEST_BYTES_PER_S, timeout_s))
                    await sink(piece)

                for _ in range(MAX_REDIRECTS + 1):
                    async with self._ask("GET", target, headers={}, idle_s=PATIENCE_S, param=param) as response:
                        headers = read_headers(response.headers)
                        if response.status not in _REDIRECTS or "location" not in headers:
                            _check_answer(response.status, headers, max_bytes=max_bytes, param=param)
                            size = await _receive(response, take, max_bytes=max_bytes, param=param)
                            return Fetched(size=size, media_type=headers.get("content-type"))
                    target = self._rules.check_url(_redirection(target, headers["location"], param), param=param)
        except TimeoutError:
            raise Unavailable(_SILENT, param=param) from None
        raise InvalidValue(f"The URL redirects more than {MAX_REDIRECTS} times.", param=param)

    @asynccontextmanager
    async def _ask(
        self,
        method: str,
        target: httpx.URL,
        *,
        headers: Mapping[str, str],
        idle_s: float,
        content: bytes | None = None,
        param: str | None = None,
    ) -> AsyncIterator[httpcore.Response]:
        url = httpcore.URL(scheme=target.raw_scheme, host=target.raw_host, port=target.port, target=target.raw_path)
        common = {"Host": target.netloc.decode(), "User-Agent": "Antiphon", "Accept": "*/*"}
        # What arrives compressed could grow without bound when it is unpacked.
        common["Accept-Encoding"] = "identity"
        timeout = {"connect": CONNECT_TIMEOUT_S, "read": idle_s, "write": idle_s, "pool": idle_s}
        with _told(param):
            async with self._pools[target.scheme].stream(
                method,
                url,
                headers=[*(common | dict(headers)).items()],
                content=content,
                extensions={"timeout": timeout},
            ) as response:
                yield response


@contextmanager
def _told(param: str | None = None) -> Iterator[None]:
    """Raise what goes wrong with a host as errors that a caller may be told."""
    try:
        yield
    except EgressBlocked:
        raise EgressBlocked(param=param) from None
    except httpcore.ConnectTimeout as error:
        raise Unavailable("The host of the URL cannot be reached.", param=param) from error
    except httpcore.TimeoutException as error:
        raise Unavailable(_SILENT, param=param) from error
    except httpcore.ConnectError as error:
        problem = "has no certificate that is trusted" if _distrusted(error) else "cannot be reached"
        raise Unavailable(f"The host of the URL {problem}.", param=param) from error
    except (httpcore.NetworkError, httpcore.ProtocolError) as error:
        raise Unavailable("The host of the URL broke off the connection.", param=param) from error


async def _told_pieces(pieces: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    with _told():
        async for piece in pieces:
            yield piece


def _pool(network: VettedNetwork, tls: ssl.SSLContext) -> httpcore.AsyncConnectionPool:
    return httpcore.AsyncConnectionPool(
        ssl_context=tls,
        max_connections=MAX_CONNECTIONS,
        keepalive_expiry=_IDLE_CONNECTION_S,
        network_backend=network,
    )


def _pieces(response: httpcore.Response) -> AbstractAsyncContextManager[AsyncIterator[bytes]]:
    # Left in the middle, the generator must be closed before the response is.
    return aclosing(response.aiter_stream())  # type: ignore[type-var]


async def _receive(
    response: httpcore.Response, take: Callable[[bytes, int], Awaitable[None]], *, max_bytes: int, param: str | None
) -> int:
    size = 0
    async with _pieces(response) as pieces:
        async for piece in pieces:
            size += len(piece)
            if size > max_bytes:
                raise _too_large(max_bytes, param)
            await take(piece, size)
    return size


def _check_answer(status: int, headers: Headers, *, max_bytes: int, param: str | None) -> None:
    """Raise unless the answer begins as that of a file does which may be read."""
    if status >= 500 or status in _PASSING:
        wait_s = retry_after_s(headers, now=datetime.now(UTC))
        raise Unavailable(
            f"The host of the URL answered {_named(status)}.",
            param=param,
            retry_after_s=None if wait_s is None else min(wait_s, _LONGEST_WAIT_S),
        )
    if status != HTTPStatus.OK:
        raise InvalidValue(f"The host of the URL answered {_named(status)}.", param=param)
    if headers.get("content-encoding", "identity").lower() != "identity":
        raise InvalidValue("The host of the URL sends the file compressed, which it was not asked for.", param=param)
    length = headers.get("content-length", "")
    # What is no number is for the parser of the message to refuse.
    if length.isdecimal() and int(length) > max_bytes:
        raise _too_large(max_bytes, param)


def _redirection(target: httpx.URL, location: str, param: str | None) -> str:
    try:
        return str(target.join(location))
    except httpx.InvalidURL:
        raise InvalidValue("The URL redirects to one that is malformed.", param=param) from None


def _distrusted(error: BaseException | None) -> bool:
    while error is not None and not isinstance(error, ssl.SSLCertVerificationError):
        error = error.__cause__ or error.__context__
    return error is not None


def _too_large(max_bytes: int, param: str | None) -> InvalidValue:
    return InvalidValue(f"The file at the URL is larger than {max_bytes} bytes.", param=param)


def _named(status: int) -> str:
    try:
        return f"{status} {HTTPStatus(status).phrase}"
    except ValueError:
        return str(status)
