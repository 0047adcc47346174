"""A live session under its key's allowance of audio: counted on its way, and stopped when there is none left."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

import orjson

from antiphon.bus import SessionOutput
from services.ingest.access.limiter import Limiter
from services.ingest.access.live_meter import LiveMeter
from services.ingest.access.principal import Grant
from services.ingest.realtime.dialects import Interpreter
from services.ingest.realtime.frames import AppendType, Frame, FrameReader
from services.ingest.realtime.handshake import Dialect

_SESSION_EVENTS = (b'"type":"session.created"', b'"type":"session.updated"')
_LIMITS_EVENT = b'"type":"rate_limits.updated"'
_HEAD_BYTES = 64
"""Within which an event says its type."""


class MeteredReader(FrameReader):
    """Counts what the client says. While nothing is left, sound is dropped; the client is told so once."""

    def __init__(
        self,
        interpreter: Interpreter,
        *,
        append: AppendType,
        meter: LiveMeter,
    ) -> None:
        super().__init__(interpreter, append=append)
        self._meter = meter
        self._told = False

    async def read(self, message: str | bytes) -> Frame | None:
        """Return what to write for a message, None if it brings nothing or is not taken."""
        frame = await super().read(message)
        if frame is None or frame[0] != "audio":
            return frame
        if not self._meter.exhausted:
            self._told = False
            self._meter.hear(len(frame[1]))
            return frame
        if self._told:
            return None
        self._told = True
        told = {"error": self._meter.refusal().info().model_dump(), "event_id": None}
        return "refused", orjson.dumps(told)


class MeteredInterpreter(Interpreter):
    """Counts what the client hears, and tells it what is left where the session tells of its limits."""

    def __init__(self, dialect: Dialect, *, kind: str = "realtime", meter: LiveMeter) -> None:
        super().__init__(dialect, kind=kind)
        self._meter = meter

    def outward(self, output: SessionOutput) -> list[str]:
        """Return the messages that the client is sent for a server event."""
        if output.audio:
            self._meter.speak(len(output.audio))
            return super().outward(output)
        head = output.data[:_HEAD_BYTES]
        if any(event in head for event in _SESSION_EVENTS):
            self._meter.learn(orjson.loads(output.data)["session"])
        elif _LIMITS_EVENT in head:
            output = self._with_level(output)
        return super().outward(output)

    def _with_level(self, output: SessionOutput) -> SessionOutput:
        level = self._meter.level
        if level is None:
            return output
        event: dict[str, Any] = orjson.loads(output.data)
        event["rate_limits"].append(
            {
                "name": "audio_seconds",
                "limit": level.limit,
                "remaining": max(0, math.floor(level.remaining)),
                "reset_seconds": round(level.reset_s, 3),
            }
        )
        return replace(output, data=orjson.dumps(event))


@dataclass(frozen=True)
class Ends:
    """What makes sense of what comes in at a socket, and of what goes out."""

    reader: FrameReader
    interpreter: Interpreter


@contextmanager
def metered(limiter: Limiter, grant: Grant, dialect: Dialect, *, kind: str, append: AppendType) -> Iterator[Ends]:
    """Return the ends of one connection, which count what passes them where there is a limit to it."""
    with limiter.metering(grant) as meter:
        if meter is None:
            interpreter = Interpreter(dialect, kind=kind)
            yield Ends(FrameReader(interpreter, append=append), interpreter)
        else:
            counting = MeteredInterpreter(dialect, kind=kind, meter=meter)
            yield Ends(MeteredReader(counting, append=append, meter=meter), counting)
