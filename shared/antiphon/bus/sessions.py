"""What travels between the two ends of a live session: the door, where its client is, and the host, which holds it.

A session has an input stream, written by its door, and an output stream, written by whoever has its pen.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from antiphon.bus.work import LeaseLost

InputKind = Literal["audio", "event", "refused", "left"]
OutputKind = Literal["event", "close"]

SESSION_TTL_S = 600
"""How long a session outlives the last sign of life of who writes its keys."""


@dataclass(frozen=True, slots=True)
class SessionInput:
    """An entry of a session's input.

    `data` is raw samples of `audio`, JSON of an `event` of the client, JSON `{"error", "event_id"}` of one that was
    `refused` at the door, or the reason for which the client has `left`. A large append may come as several entries.
    """

    entry: bytes
    kind: InputKind
    data: bytes


@dataclass(frozen=True, slots=True)
class SessionOutput:
    """An entry of a session's output.

    `data` is JSON of a server `event`, or `{"code", "reason"}` with which to `close` the socket. `audio`, unless empty,
    belongs as base64 into the event's `delta`.
    """

    kind: OutputKind
    data: bytes
    audio: bytes = b""
    entry: bytes = b""


class SessionLost(LeaseLost):
    """Another worker has taken the session's pen: nothing of this step was written, and nothing more will be."""
