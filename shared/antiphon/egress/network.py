"""Dials what was vetted: a name is resolved once, and the connection goes to the addresses that were looked at.

Looking first and letting the HTTP library resolve the name again would let a name server give one answer to the first
question and another to the second.
"""

from __future__ import annotations

import asyncio
import logging
import socket
from collections.abc import Awaitable, Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import httpcore

from antiphon.egress.addresses import parse_address
from antiphon.egress.rules import EgressBlocked, EgressRules

logger = logging.getLogger(__name__)

Resolve = Callable[[str, int], Awaitable[Sequence[str]]]
"""Returns the addresses of a host, most preferred first. Raises `OSError` when it has none."""

_RESOLVER_THREADS = 8
_LOGGED_ADDRESSES = 8


class SystemResolver:
    """Asks the operating system.

    In threads of its own: a name server that never answers must not hold up what else a process does in threads.
    """

    def __init__(self) -> None:
        self._threads = ThreadPoolExecutor(_RESOLVER_THREADS, thread_name_prefix="resolver")

    async def __call__(self, host: str, port: int) -> Sequence[str]:
        """Return the addresses of `host`. Raises `OSError`."""
        ask = partial(socket.getaddrinfo, host.encode("ascii"), port, type=socket.SOCK_STREAM)
        found = await asyncio.get_running_loop().run_in_executor(self._threads, ask)
        return tuple(dict.fromkeys(str(address[0]) for *_, address in found))

    def close(self) -> None:
        """Answer nothing any more."""
        self._threads.shutdown(wait=False, cancel_futures=True)


class VettedNetwork(httpcore.AsyncNetworkBackend):
    """The network as one scheme may use it: a backend is told a host and a port, not what will be spoken there."""

    def __init__(
        self, rules: EgressRules, *, scheme: str, resolve: Resolve, dial: httpcore.AsyncNetworkBackend | None = None
    ) -> None:
        self._rules = rules
        self._scheme = scheme
        self._resolve = resolve
        self._dial = dial or httpcore.AnyIOBackend()

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[httpcore.SOCKET_OPTION] | None = None,
    ) -> httpcore.AsyncNetworkStream:
        """Connect within `timeout` seconds to the first address that answers.

        Raises `EgressBlocked`, `httpcore.ConnectError` and `httpcore.ConnectTimeout`.
        """
        try:
            async with asyncio.timeout(timeout) as limit:
                addresses = await self._addresses(host, port)
                while True:
                    address, *addresses = addresses
                    try:
                        return await self._dial.connect_tcp(
                            address,
                            port,
                            timeout=_share(limit.when(), len(addresses) + 1),
                            local_address=local_address,
                            socket_options=socket_options,
                        )
                    except (httpcore.ConnectError, httpcore.ConnectTimeout):
                        if not addresses:
                            raise
        except TimeoutError as error:
            raise httpcore.ConnectTimeout from error

    async def _addresses(self, host: str, port: int) -> list[str]:
        if parse_address(host) is not None:
            addresses: Sequence[str] = (host,)
        else:
            try:
                addresses = await self._resolve(host, port)
            except (OSError, UnicodeError) as error:
                raise httpcore.ConnectError("the name cannot be resolved") from error
        if not self._rules.permits(addresses, scheme=self._scheme, port=port):
            logger.warning(
                "a host with a forbidden address was not asked",
                extra={"host": host, "port": port, "addresses": list(addresses[:_LOGGED_ADDRESSES])},
            )
            raise EgressBlocked
        return list(addresses)

    async def connect_unix_socket(
        self, path: str, timeout: float | None = None, socket_options: Iterable[httpcore.SOCKET_OPTION] | None = None
    ) -> httpcore.AsyncNetworkStream:
        """Refuse."""
        raise httpcore.ConnectError("unix sockets are not allowed")

    async def sleep(self, seconds: float) -> None:
        """Sleep."""
        await asyncio.sleep(seconds)


def _share(end: float | None, parts: int) -> float | None:
    """Return what an attempt may take of the time until `end`, so that one silent address leaves some to the next."""
    return None if end is None else max(0.0, end - asyncio.get_running_loop().time()) / parts
