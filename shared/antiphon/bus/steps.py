"""The checkpoint of a long job: its finished steps, one after the other."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from redis.exceptions import ResponseError

from antiphon.bus.keys import GROUP, LaneKeys

if TYPE_CHECKING:
    from antiphon.bus.deliveries import Delivery
    from antiphon.bus.scripts import Scripts
    from antiphon.schemas import Job


class Steps:
    """The steps of one job, as one attempt reads and writes them."""

    def __init__(
        self, scripts: Scripts, keys: LaneKeys, *, job: Job, delivery: Delivery, consumer: str, ttl_s: int
    ) -> None:
        self._scripts = scripts
        self._keys = (keys.checkpoint(job.id), keys.streams[delivery.lane])
        self._entry = delivery.entry
        self._consumer = consumer
        self._ttl_s = max(job.keep_s, ttl_s)

    async def load(self) -> list[bytes]:
        """Return the steps saved so far. Raises `redis.RedisError` or `OSError`."""
        try:
            saved: list[Any] = await self._scripts.outbox.call("LRANGE", self._keys[0], 0, -1)
        except ResponseError as error:
            if "WRONGTYPE" not in str(error):
                raise
            # Another version kept a checkpoint in one piece; it is only time.
            return []
        return [bytes(step) for step in saved]

    async def save(self, step: bytes, *, index: int) -> bool:
        """Keep step number `index`, from 0; tell false when a peer holds the job. Raises as `load` does."""
        saved = await self._scripts.run(
            "step", self._keys, GROUP, self._consumer, self._entry, index, step, self._ttl_s
        )
        return bool(saved)
