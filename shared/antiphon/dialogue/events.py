"""What happens in a turn, in the order in which a listener is to be told."""

from __future__ import annotations

from dataclasses import dataclass

from antiphon.schemas import Reply, ToolCallDelta, WrittenToken


@dataclass(frozen=True, slots=True)
class Wrote:
    """The model wrote more of its answer."""

    text: str
    logprobs: tuple[WrittenToken, ...] = ()


@dataclass(frozen=True, slots=True)
class Refused:
    """The model wrote more of its refusal."""

    text: str


@dataclass(frozen=True, slots=True)
class Called:
    """The model wrote more of its tool calls."""

    calls: tuple[ToolCallDelta, ...]


@dataclass(frozen=True, slots=True)
class Sounded:
    """More of the answer has been spoken: PCM, 16 bit, little-endian, mono, 24 kHz."""

    pcm: bytes


@dataclass(frozen=True, slots=True)
class Ended:
    """The answer is whole. `speech_s` is how long its sound is."""

    reply: Reply
    speech_s: float = 0.0


@dataclass(frozen=True, slots=True)
class Restarted:
    """The answer begins anew: what was told of it before does not count."""


@dataclass(frozen=True, slots=True)
class Paused:
    """Nothing has happened for a while; the turn goes on."""


TurnEvent = Wrote | Refused | Called | Sounded | Restarted | Paused | Ended
