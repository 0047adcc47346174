"""Circuit breaking: a receiver that keeps failing is left alone for a while, by all replicas."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Literal

from pydantic import Field

from antiphon.schemas import Schema

if TYPE_CHECKING:
    from antiphon.bus import Values

_KEPT = timedelta(days=6)
"""After the last failure: longer than a receiver may fail before it is disabled."""
_PROBE = timedelta(seconds=60)
"""How long a probe may take before another one may try: longer than any attempt."""


class Breaker(Schema):
    """When a circuit opens, and for how long."""

    failures: int = Field(default=5, ge=1, description="in a row, before it opens")
    open_ms: int = Field(default=30_000, ge=1, description="the first time; doubles with each one after it")
    max_open_ms: int = Field(default=600_000, ge=1)


class Circuit(Schema):
    """What is known about a receiver since its last success. A healthy one has the defaults."""

    failures: int = 0
    failing_since_ms: int | None = None
    openings: int = 0
    open_until_ms: int = 0

    def state(self, now_ms: int, breaker: Breaker) -> Literal["closed", "open", "half-open"]:
        """Tell whether deliveries pass, wait, or one of them may try."""
        if now_ms < self.open_until_ms:
            return "open"
        return "half-open" if self.failures >= breaker.failures else "closed"

    def failed(self, now_ms: int, breaker: Breaker, *, asked_s: float | None = None) -> Circuit:
        """Return what one more failure makes of it. A receiver that asks for a pause gets it, within limits."""
        failures = self.failures + 1
        openings, open_until_ms = self.openings, self.open_until_ms
        # Attempts that were under way when it opened say nothing new.
        if failures >= breaker.failures and now_ms >= open_until_ms:
            open_until_ms = now_ms + min(breaker.open_ms << min(openings, 20), breaker.max_open_ms)
            openings += 1
        if asked_s:
            open_until_ms = max(open_until_ms, now_ms + min(int(asked_s * 1000), breaker.max_open_ms))
        return Circuit(
            failures=failures,
            failing_since_ms=now_ms if self.failing_since_ms is None else self.failing_since_ms,
            openings=openings,
            open_until_ms=open_until_ms,
        )


class Circuits:
    """The circuits of all receivers, by the receiver's key. Every method raises `Unavailable` when the bus is away."""

    def __init__(self, values: Values) -> None:
        self._values = values

    async def get(self, receiver: str) -> Circuit:
        """Return what is known about a receiver."""
        kept = await self._values.get(_key(receiver))
        return Circuit() if kept is None else Circuit.model_validate_json(kept)

    async def put(self, receiver: str, circuit: Circuit) -> None:
        """Keep what is known about a receiver that fails."""
        await self._values.put(_key(receiver), circuit.model_dump_json().encode(), _KEPT)

    async def drop(self, receiver: str) -> None:
        """Forget past failures."""
        await self._values.drop(_key(receiver))

    async def begin_probe(self, receiver: str) -> bool:
        """Tell whether this one may try a half-open circuit: one at a time."""
        return await self._values.claim(_probe_key(receiver), _PROBE)

    async def end_probe(self, receiver: str) -> None:
        """Let the next one try."""
        await self._values.drop(_probe_key(receiver))


def _key(receiver: str) -> str:
    return f"webhook-circuit:{receiver}"


def _probe_key(receiver: str) -> str:
    return f"webhook-probe:{receiver}"
