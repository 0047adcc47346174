"""Wait until the door says that the platform serves."""

from __future__ import annotations

import asyncio

import httpx

from antiphon.errors import Unavailable

POLL_S = 0.1
REPLY_TIMEOUT_S = 5.0


async def wait_served(root_url: str, *, timeout_s: float) -> None:
    """Wait until `GET {root_url}/readyz` answers 200. Raises `Unavailable` after `timeout_s` seconds."""
    said = "nothing answered"
    try:
        async with (
            asyncio.timeout(timeout_s),
            httpx.AsyncClient(timeout=REPLY_TIMEOUT_S, trust_env=False) as client,
        ):
            while True:
                try:
                    reply = await client.get(f"{root_url}/readyz")
                except httpx.TransportError:
                    pass  # not listening yet
                else:
                    if reply.status_code == httpx.codes.OK:
                        return
                    said = reply.text[:200]
                await asyncio.sleep(POLL_S)
    except TimeoutError:
        raise Unavailable(f"the platform was not ready within {timeout_s:.0f} s: {said}") from None
