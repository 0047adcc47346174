"""What is left of limits: requests and audio that come back minute by minute, places of what runs at once.

An account is whoever shares them. All that is asked of it at a time is one script: exact however many doors ask.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import astuple, dataclass
from typing import TYPE_CHECKING, Any, Literal, cast

from redis.exceptions import RedisError

from antiphon.audio.tokens import HEARD_PER_S, SPOKEN_PER_S
from antiphon.bus.connection import unavailable
from antiphon.bus.keys import AllowanceKeys

if TYPE_CHECKING:
    from antiphon.bus.scripts import Scripts
    from antiphon.schemas import Meter

MINUTE_MS = 60_000
_CHARGED_MS = 3_600_000
"""How long it is known that a job has been charged, should it be done a second time."""

Shortage = Literal["requests", "audio_seconds", "concurrency"]


@dataclass(frozen=True, slots=True)
class Limits:
    """What an account may use; None is no limit. A minute's worth may be used at once, and comes back bit by bit."""

    requests_per_minute: int | None = None
    audio_seconds_per_minute: int | None = None
    """Of audio that is heard or made."""
    concurrency: int | None = None
    """Requests for work, and live sessions, at the same time."""

    def __post_init__(self) -> None:
        """Refuse a limit that would let nothing through. Raises `ValueError`."""
        if any(limit is not None and limit < 1 for limit in astuple(self)):
            raise ValueError("a limit is at least 1")

    def __bool__(self) -> bool:
        """Tell whether there are any."""
        return any((self.requests_per_minute, self.audio_seconds_per_minute, self.concurrency))


@dataclass(frozen=True, slots=True)
class Level:
    """What is left of one allowance: all of `limit` is there again in `reset_s`."""

    limit: int
    reset_s: float

    @property
    def remaining(self) -> float:
        """What may be used now; negative where more has been used than there was."""
        return self.limit * (1 - self.reset_s * 1000 / MINUTE_MS)

    def wait_s(self, amount: float) -> float:
        """Return how long it takes until `amount` is there."""
        return max(0.0, (amount - self.remaining) * MINUTE_MS / 1000 / self.limit)

    def after(self, elapsed_s: float) -> Level:
        """Return what is left `elapsed_s` later, if nobody uses anything meanwhile."""
        return Level(self.limit, max(0.0, self.reset_s - elapsed_s))


@dataclass(frozen=True, slots=True)
class Standing:
    """How an account stands; None where it has no limit. `short` is what there was no room for."""

    requests: Level | None = None
    audio: Level | None = None
    concurrency: int | None = None
    running: int = 0
    short: Shortage | None = None

    def after(self, elapsed_s: float) -> Standing:
        """Return how it stands `elapsed_s` later, if nobody uses anything meanwhile."""
        return Standing(
            requests=self.requests and self.requests.after(elapsed_s),
            audio=self.audio and self.audio.after(elapsed_s),
            concurrency=self.concurrency,
            running=self.running,
            short=self.short,
        )


@dataclass(frozen=True, slots=True)
class Allowances:
    """Takes from the allowances of accounts. What is awaited raises `Unavailable`."""

    scripts: Scripts

    async def take(
        self, account: str, limits: Limits, *, running: str | None = None, hold_s: float, needs_audio: bool = False
    ) -> Standing:
        """Take what one request takes, or nothing if there is no room for it: `short` says of what.

        `running` is its name among those that run, until `leave`; it counts for `hold_s` unless `occupy` says that it
        still runs. With `needs_audio` it is refused while more audio has been used than there was.
        """
        return await self._ask(account, limits, running or "", int(hold_s * 1000), int(needs_audio), 1)

    async def look(self, account: str, limits: Limits) -> Standing:
        """Tell how an account stands."""
        return await self._ask(account, limits, "", 0, 0, 0)

    async def charge(self, meter: Meter, seconds: float) -> Level:
        """Take audio, whether it is there or not; what is missing has to come back before there is any again."""
        keys = AllowanceKeys(meter.account)
        try:
            ahead = await self.scripts.run(
                "charge", (keys.level, keys.level), meter.seconds_per_minute, _number(seconds), 0
            )
        except (RedisError, OSError) as error:
            raise unavailable(error) from error
        return Level(meter.seconds_per_minute, float(ahead) / 1000)

    def charge_job(self, meter: Meter, job_id: str, seconds: float) -> None:
        """Take the audio of a job, once, without waiting for it."""
        if seconds > 0:
            keys = AllowanceKeys(meter.account)
            self.scripts.send(
                "charge", (keys.level, keys.charged(job_id)), meter.seconds_per_minute, _number(seconds), _CHARGED_MS
            )

    def charge_rest(self, meter: Meter, seconds: float) -> None:
        """Take audio without waiting for it."""
        if seconds > 0:
            level = AllowanceKeys(meter.account).level
            self.scripts.send("charge", (level, level), meter.seconds_per_minute, _number(seconds), 0)

    def occupy(self, account: str, running: Sequence[str], *, hold_s: float) -> None:
        """Say of requests that they still run."""
        self.scripts.send("occupy", (AllowanceKeys(account).running,), int(hold_s * 1000), *running)

    def leave(self, account: str, running: str) -> None:
        """Say of a request that it runs no longer."""
        self.scripts.outbox.send("ZREM", AllowanceKeys(account).running, running)

    async def _ask(self, account: str, limits: Limits, *args: str | int) -> Standing:
        keys = AllowanceKeys(account)
        figures = (limits.requests_per_minute or 0, limits.audio_seconds_per_minute or 0, limits.concurrency or 0)
        try:
            short, requests, audio, running = await self.scripts.run(
                "allow", (keys.level, keys.running), *figures, *args
            )
        except (RedisError, OSError) as error:
            raise unavailable(error) from error
        return Standing(
            requests=_level(limits.requests_per_minute, requests),
            audio=_level(limits.audio_seconds_per_minute, audio),
            concurrency=limits.concurrency or None,
            running=int(running),
            short=None if short == b"ok" else cast("Shortage", short.decode()),
        )


def audio_seconds_of(result: Mapping[str, Any]) -> float:
    """Return how much audio a job has heard or made, by its result.

    >>> audio_seconds_of({"duration": 2.5}), audio_seconds_of({"usage": {"completion_audio_tokens": 30}})
    (2.5, 1.5)
    """
    usage = result.get("usage") or {}
    # A model that takes or gives sound itself tells of it in tokens.
    heard_s = float(usage.get("prompt_audio_tokens", 0)) / HEARD_PER_S
    spoken_s = float(usage.get("completion_audio_tokens", 0)) / SPOKEN_PER_S
    return float(result.get("duration") or 0.0) + heard_s + spoken_s


def _level(limit: int | None, ahead_ms: bytes) -> Level | None:
    return Level(limit, float(ahead_ms) / 1000) if limit else None


def _number(seconds: float) -> str:
    return f"{seconds if math.isfinite(seconds) else 0.0:.3f}"
