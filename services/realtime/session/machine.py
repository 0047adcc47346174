"""The state machine that every kind of session is driven through."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from services.realtime.session.commands import Command
from services.realtime.session.happenings import Happening

ServerEvent = dict[str, Any]
"""A server event in the GA dialect, `event_id` included. Where it carries sound, `delta` is bytes: PCM of 16 bit at
24 kHz, which the driver puts into the format of the session and the door into base64."""


@dataclass(slots=True)
class Effects:
    """What a step leads to: first the events are sent, in order, then the commands are carried out, in order."""

    events: list[ServerEvent] = field(default_factory=list)
    commands: list[Command] = field(default_factory=list)


class Machine(Protocol):
    """One session. Two machines that start alike and are given the same do the same, event ids included."""

    @property
    def wake_at_ms(self) -> int | None:
        """When `Ticked` is wanted, in the time that `step` is given; None if nothing waits."""
        ...

    @property
    def audio_from(self) -> int:
        """The first position of the input that may still be asked for."""
        ...

    def sound_format(self, response_id: str | None) -> str:
        """Return what the sound of a response is sent in: `audio/pcm`, `audio/pcmu` or `audio/pcma`."""
        ...

    def step(self, happening: Happening, now_ms: int) -> Effects:
        """Let something happen. Never raises for what a client sent."""
        ...

    def changes(self) -> Mapping[str, bytes | None]:
        """Return what has changed since this was last asked: fields of the snapshot, None for one that is gone."""
        ...
