"""The writing end of a job's output stream."""

from __future__ import annotations

import secrets
from typing import TYPE_CHECKING, Literal

from antiphon.bus.keys import GROUP, LaneKeys

if TYPE_CHECKING:
    from collections.abc import Callable

    from antiphon.bus.deliveries import Delivery
    from antiphon.bus.scripts import Scripts
    from antiphon.schemas import EventKind

Written = Literal["written", "lost", "ended", "busy"]


def pen_of(delivery: Delivery) -> str:
    """Return how the token of every attempt at this entry begins."""
    return f"{delivery.place}/"


class Output:
    """Appends for one attempt."""

    def __init__(
        self,
        scripts: Scripts,
        keys: LaneKeys,
        *,
        job_id: str,
        delivery: Delivery,
        consumer: str,
        ttl_s: int,
        began: Callable[[], None] | None = None,
    ) -> None:
        """`began` is called when there is something to show."""
        self._scripts = scripts
        self._pen = pen_of(delivery)
        # How often a job was tried does not tell attempts apart: one that was handed back is not counted.
        self._token = f"{self._pen}{secrets.token_hex(6)}"
        self._keys = (
            keys.output(job_id),
            keys.fence(job_id),
            keys.streams[delivery.lane],
            keys.result(job_id),
        )
        self._entry = delivery.entry
        self._consumer = consumer
        self._ttl_s = ttl_s
        self._began = began

    async def append(self, kind: EventKind, data: bytes) -> Written:
        """Append, and tell whether that was allowed. Raises `redis.RedisError` or `OSError`."""
        verdict: bytes = await self._scripts.run(
            "append",
            self._keys,
            self._token,
            kind,
            data,
            self._ttl_s,
            GROUP,
            self._consumer,
            self._entry,
            self._pen,
        )
        if self._began is not None and kind != "progress" and verdict == b"written":
            self._began()
            self._began = None
        return verdict.decode()  # type: ignore[return-value]
