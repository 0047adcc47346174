"""What can happen to a session. Each is a value; the driver makes them, the state machine takes them one by one.

A position counts samples at 16 kHz since the session began, whatever the format of its input: a millisecond is 16.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from antiphon.schemas import ErrorInfo, Reply, ReplyDelta, Transcript

POSITIONS_PER_MS = 16


@dataclass(frozen=True, slots=True)
class Began:
    """The session is new: the first of all happenings."""


@dataclass(frozen=True, slots=True)
class Resumed:
    """Another worker has taken the session over: what was under way has to be ordered again."""


@dataclass(frozen=True, slots=True)
class ClientEvent:
    """A client event in the GA dialect, other than an append of audio: a JSON object, and nothing else is sure."""

    event: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Refused:
    """Something that a client sent was refused before it came here; it is told, and the session goes on."""

    error: ErrorInfo
    event_id: str | None = None


@dataclass(frozen=True, slots=True)
class Appended:
    """Audio was appended to the input buffer.

    `length` is how many positions it brings. `voice` is the probability of voice in each frame of 512 positions that
    was completed by it, in order; none while nobody asks for turn detection.
    """

    length: int
    voice: tuple[float, ...] = ()


@dataclass(frozen=True, slots=True)
class Judged:
    """How likely the speaker is through, 0 to 1, as asked by `JudgeTurn`."""

    turn: int
    probability: float


@dataclass(frozen=True, slots=True)
class HeardMore:
    """More of a transcript is there."""

    item_id: str
    hearing: int
    text: str


@dataclass(frozen=True, slots=True)
class Heard:
    """A transcript is whole."""

    item_id: str
    hearing: int
    transcript: Transcript


@dataclass(frozen=True, slots=True)
class NotHeard:
    """A transcript cannot be had."""

    item_id: str
    hearing: int
    error: ErrorInfo


@dataclass(frozen=True, slots=True)
class Wrote:
    """The language model wrote more. `seq` is the number of this piece in the job's output."""

    response_id: str
    seq: int
    delta: ReplyDelta


@dataclass(frozen=True, slots=True)
class Spoke:
    """A language model that speaks by itself made sound: PCM, 16 bit, little-endian, mono, 24 kHz."""

    response_id: str
    seq: int
    pcm: bytes


@dataclass(frozen=True, slots=True)
class Answered:
    """The language model's answer is whole."""

    response_id: str
    reply: Reply


@dataclass(frozen=True, slots=True)
class NotAnswered:
    """The language model's answer cannot be had, or not the rest of it."""

    response_id: str
    error: ErrorInfo


@dataclass(frozen=True, slots=True)
class Sounded:
    """More of what is to be said has been spoken: PCM, 16 bit, little-endian, mono, 24 kHz.

    `start` is where in the sound of this saying it begins, in bytes: a saying that is begun again repeats itself, and
    what was had before is not had twice.
    """

    response_id: str
    saying: int
    start: int
    pcm: bytes


@dataclass(frozen=True, slots=True)
class SaidUpTo:
    """So many characters of the saying's text lie before the sound that comes next."""

    response_id: str
    saying: int
    characters: int


@dataclass(frozen=True, slots=True)
class Said:
    """A saying is at its end."""

    response_id: str
    saying: int


@dataclass(frozen=True, slots=True)
class NotSaid:
    """A saying cannot be spoken, or not the rest of it."""

    response_id: str
    saying: int
    error: ErrorInfo


@dataclass(frozen=True, slots=True)
class ToolsListed:
    """An MCP server has told its tools, each with `name`, `description`, `input_schema`, `annotations`."""

    item_id: str
    tools: tuple[Mapping[str, Any], ...]


@dataclass(frozen=True, slots=True)
class ToolsNotListed:
    """An MCP server cannot be asked."""

    item_id: str
    error: ErrorInfo


@dataclass(frozen=True, slots=True)
class ToolAnswered:
    """An MCP tool was called. `error` is in the shape of the item's `error` when it did not work."""

    item_id: str
    output: str | None
    error: Mapping[str, Any] | None = None


@dataclass(frozen=True, slots=True)
class AudioFound:
    """The audio of an item, by the index of its content part, in the format of the session; empty where it is gone."""

    item_id: str
    event_id: str | None
    parts: Mapping[int, bytes] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Ticked:
    """The moment that the machine wanted to be woken at has come."""


@dataclass(frozen=True, slots=True)
class ClientLeft:
    """The client is gone: there is nobody to tell anything."""


Happening = (
    Began
    | Resumed
    | ClientEvent
    | Refused
    | Appended
    | Judged
    | HeardMore
    | Heard
    | NotHeard
    | Wrote
    | Spoke
    | Answered
    | NotAnswered
    | Sounded
    | SaidUpTo
    | Said
    | NotSaid
    | ToolsListed
    | ToolsNotListed
    | ToolAnswered
    | AudioFound
    | Ticked
    | ClientLeft
)
