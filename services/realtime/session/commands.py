"""What a session wants done. The driver does it, and tells what came of it as a happening.

Positions are those of `happenings`: samples at 16 kHz since the session began.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from antiphon.schemas import RecognitionOptions, RespondJob


@dataclass(frozen=True, slots=True)
class Listen:
    """From now on the input has this format, and is heard like this. The first command of all."""

    format: str
    """`audio/pcm`, `audio/pcmu` or `audio/pcma`."""
    detect: bool
    """Whether the probability of voice is wanted."""
    noise_reduction: str | None
    """`near_field`, `far_field` or None."""


@dataclass(frozen=True, slots=True)
class KeepAudio:
    """Keep the input from `start` to `stop` as the audio of an item."""

    item_id: str
    start: int
    stop: int


@dataclass(frozen=True, slots=True)
class GiveAudio:
    """Keep this as the audio of an item's part: raw samples in the format of the input."""

    item_id: str
    content_index: int
    audio: bytes


@dataclass(frozen=True, slots=True)
class CutAudio:
    """Keep only the first `end_ms` of the audio of an item's part."""

    item_id: str
    content_index: int
    end_ms: int


@dataclass(frozen=True, slots=True)
class ForgetAudio:
    """Nobody asks for the audio of an item any more."""

    item_id: str


@dataclass(frozen=True, slots=True)
class FindAudio:
    """Find the audio of an item; answered by `AudioFound`."""

    item_id: str
    event_id: str | None


@dataclass(frozen=True, slots=True)
class JudgeTurn:
    """Judge whether the speaker is through at `stop`; answered by `Judged`. `start` is where the speech began."""

    turn: int
    start: int
    stop: int


@dataclass(frozen=True, slots=True)
class Transcribe:
    """Recognise the input from `start` to `stop`; answered by `HeardMore`, and `Heard` or `NotHeard`.

    `hearing` tells one try for an item from another. With `kept`, the audio that was kept for the item is meant; with
    `translate`, what is said is wanted in English.
    """

    item_id: str
    hearing: int
    start: int
    stop: int
    model: str
    options: RecognitionOptions
    kept: bool = False
    translate: bool = False


@dataclass(frozen=True, slots=True)
class StopTranscribing:
    """A transcript is wanted no more."""

    item_id: str
    hearing: int


@dataclass(frozen=True, slots=True)
class Respond:
    """Have the language model answer; answered by `Wrote`, `Spoke`, and `Answered` or `NotAnswered`.

    The job has the same id when it is ordered again after a takeover; pieces before `after` were had already.
    """

    response_id: str
    job: RespondJob
    after: int = 0


@dataclass(frozen=True, slots=True)
class Say:
    """Speak a text; answered by `SaidUpTo`, `Sounded`, and `Said` or `NotSaid`.

    Sayings of a response come one after the other, numbered from 0. The first `after` bytes of its sound were had
    already.
    """

    response_id: str
    saying: int
    text: str
    model: str
    voice: str
    speed: float
    after: int = 0


@dataclass(frozen=True, slots=True)
class StopResponding:
    """A response is over: its answer and its sayings are wanted no more."""

    response_id: str


@dataclass(frozen=True, slots=True)
class ListTools:
    """Ask an MCP server for its tools; answered by `ToolsListed` or `ToolsNotListed`. `server` is the client's tool."""

    item_id: str
    server: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class CallTool:
    """Call a tool of an MCP server; answered by `ToolAnswered`. `arguments` is a JSON object."""

    item_id: str
    server: Mapping[str, Any]
    name: str
    arguments: str


@dataclass(frozen=True, slots=True)
class End:
    """Close the socket with this code once everything before has been sent. The last command of all."""

    code: int
    reason: str


Command = (
    Listen
    | KeepAudio
    | GiveAudio
    | CutAudio
    | ForgetAudio
    | FindAudio
    | JudgeTurn
    | Transcribe
    | StopTranscribing
    | Respond
    | Say
    | StopResponding
    | ListTools
    | CallTool
    | End
)
