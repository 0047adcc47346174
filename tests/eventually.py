"""Wait for what must come, with a deadline."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar, overload

T = TypeVar("T")


@overload
async def eventually(look: Callable[[], Awaitable[T | None]], *, within_s: float = ...) -> T: ...
@overload
async def eventually(look: Callable[[], T | None], *, within_s: float = ...) -> T: ...
async def eventually(look: Callable[[], Any], *, within_s: float = 30.0) -> Any:
    """Return what `look` gives as soon as it is true. Fails when it is not within the time."""
    deadline = time.monotonic() + within_s
    while True:
        found = look()
        if isinstance(found, Awaitable):
            found = await found
        if found:
            return found
        assert time.monotonic() < deadline, f"this did not come within {within_s:.0f} s: {look}"
        await asyncio.sleep(0.01)
