"""Who comes first: short-lived marks that one process holds at a time."""

from __future__ import annotations

import secrets
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from datetime import timedelta

    from antiphon.bus import Values

_TOKEN_BYTES = 8


async def claim(values: Values, key: str, ttl: timedelta) -> bool:
    """Take the mark `key` unless somebody holds it; tell whether it was taken. Raises `Unavailable`.

    It is free again after `let_go`, and after `ttl` when its holder has died.
    """
    if await values.get(key) is not None:
        return False
    # Several may append to what nobody held: whose token is first has it.
    token = secrets.token_bytes(_TOKEN_BYTES)
    await values.append(key, token, ttl)
    held = await values.get(key)
    return held is not None and held.startswith(token)


async def let_go(values: Values, key: str) -> None:
    """Free a mark that was taken. Raises `Unavailable`."""
    await values.drop(key)
