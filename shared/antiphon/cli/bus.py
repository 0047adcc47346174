"""The bus of the platform, for commands that look at it or mend it."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Awaitable, Callable, Mapping
from typing import TypeVar

from pydantic import ValidationError

from antiphon.bus import Bus
from antiphon.cli.failure import CommandFailed, fail
from antiphon.errors import AntiphonError, Unavailable
from antiphon.server import External
from antiphon.settings import BusSettings
from antiphon.supervisor.state import StateFolder

T = TypeVar("T")

SCHEMES = (
    "redis://",
    "rediss://",
    "unix://",
    *(f"redis{tls}+{of}://" for of in ("sentinel", "cluster") for tls in ("", "s")),
)


def find_bus(environ: Mapping[str, str]) -> str:
    """Return the URL of the bus named by the environment, else of the platform that runs on this machine.

    Raises `CommandFailed` when there is none.
    """
    if url := environ.get("REDIS_URL", "").strip():
        return url
    address = StateFolder.from_environment(environ).read_address()
    if address is None or address.redis_url is None:
        raise CommandFailed("no platform is running here: start one with `antiphon up`, or set REDIS_URL")
    return address.redis_url


def on_bus(work: Callable[[Bus], Awaitable[T]]) -> T:
    """Do `work` on the bus. Leaves with exit code 1 and one line when that fails."""
    try:
        return asyncio.run(_connected(find_bus(os.environ), work))
    except CommandFailed as error:
        fail(str(error))
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        fail(f"ANTIPHON_{'_'.join(map(str, first['loc'])).upper()}: {first['msg']}")
    except AntiphonError as error:
        fail(error.message)


async def _connected(url: str, work: Callable[[Bus], Awaitable[T]]) -> T:
    if not url.startswith(SCHEMES):
        raise CommandFailed(
            f"REDIS_URL: {External(url)} is not a URL of redis://, rediss://, unix://, redis+sentinel:// or redis+cluster://"
        )
    async with Bus.open(BusSettings(redis_url=url)) as bus:
        try:
            await bus.ping()
        except Unavailable as error:
            raise CommandFailed(
                f"no server answers at {External(url)}: start the platform with `antiphon up`, or set REDIS_URL"
            ) from error
        return await work(bus)
