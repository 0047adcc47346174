"""What the events of a live session mean to the one who talks, and how long he was kept waiting."""

from __future__ import annotations

from base64 import b64decode
from bisect import bisect_left
from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from openai.types.realtime import RealtimeResponse, RealtimeServerEvent

_REMEMBERED = 1500
"""Pieces of sound whose times are kept: a minute of them."""


@dataclass(frozen=True)
class Waits:
    """Seconds from the end of what was said until each thing came; None where it did not."""

    noticed_s: float
    first_word_s: float | None
    first_sound_s: float | None
    whole_s: float


@dataclass(frozen=True)
class Heard:
    """What the platform has understood; None where it could not tell."""

    text: str | None


@dataclass(frozen=True)
class Said:
    """More of the answer's words."""

    text: str


@dataclass(frozen=True)
class Sounded:
    """More of the answer's sound: PCM of 16 bit at 24 kHz."""

    item_id: str
    pcm: bytes


@dataclass(frozen=True)
class Interrupted:
    """Somebody speaks: what is still being played is not wanted any more."""


@dataclass(frozen=True)
class Answered:
    """An answer is at its end. `problem` says why it is not a whole one."""

    waits: Waits | None
    problem: str | None = None
    was_interrupted: bool = False


@dataclass(frozen=True)
class Complained:
    """The platform has refused something; the conversation goes on."""

    message: str


Notice = Heard | Said | Sounded | Interrupted | Answered | Complained


@dataclass
class _Turn:
    """What was said last, and when what followed came, in seconds of the caller's clock."""

    ended_s: float
    noticed_s: float
    first_word_s: float | None = None
    first_sound_s: float | None = None

    def waits(self, now_s: float) -> Waits:
        return Waits(
            noticed_s=self.noticed_s - self.ended_s,
            first_word_s=None if self.first_word_s is None else self.first_word_s - self.ended_s,
            first_sound_s=None if self.first_sound_s is None else self.first_sound_s - self.ended_s,
            whole_s=now_s - self.ended_s,
        )


class Exchange:
    """Follows one conversation with turn detection. Times are seconds of one clock that only goes forward."""

    def __init__(self, *, silence_ms: int) -> None:
        """Begin. `silence_ms` is how long the platform waits before it takes silence for the end of a turn."""
        self._silence_ms = silence_ms
        self._sent: deque[tuple[int, float]] = deque(maxlen=_REMEMBERED)
        self._sent_ms = 0
        self._turn: _Turn | None = None
        self._is_speaking = False
        self._is_owed = False
        self._unheard: set[str] = set()
        self._held: list[Notice] = []

    @property
    def has_heard(self) -> bool:
        """Whether anybody was heard to speak in this turn."""
        return self._is_speaking or self._turn is not None

    @property
    def is_settled(self) -> bool:
        """Whether a turn has ended, and all that it leads to is there."""
        return self._turn is not None and not (self._is_speaking or self._is_owed or self._unheard)

    def begin_turn(self) -> None:
        """Forget the turn before."""
        self._turn = None

    def send(self, length_ms: int, now_s: float) -> None:
        """Take note that so much sound has just been sent."""
        self._sent_ms += length_ms
        self._sent.append((self._sent_ms, now_s))

    def take(self, event: RealtimeServerEvent, now_s: float) -> list[Notice]:
        """Return what an event of the server means, in order. The answer's words wait for those that it answers."""
        notices: list[Notice] = []
        if event.type == "input_audio_buffer.speech_started":
            self._is_speaking = True
            notices.append(Interrupted())
        elif event.type == "input_audio_buffer.speech_stopped":
            self._is_speaking, self._is_owed = False, True
            self._turn = _Turn(self._sent_at(event.audio_end_ms - self._silence_ms, now_s), now_s)
        elif event.type == "input_audio_buffer.committed":
            self._unheard.add(event.item_id)
        elif event.type == "conversation.item.input_audio_transcription.completed":
            notices += self._hear(event.item_id, event.transcript.strip())
        elif event.type == "conversation.item.input_audio_transcription.failed":
            notices += self._hear(event.item_id, None)
        elif event.type == "response.output_audio_transcript.delta":
            if self._turn is not None and self._turn.first_word_s is None:
                self._turn.first_word_s = now_s
            notices += self._hold(Said(event.delta))
        elif event.type == "response.output_audio.delta":
            if self._turn is not None and self._turn.first_sound_s is None:
                self._turn.first_sound_s = now_s
            notices.append(Sounded(event.item_id, b64decode(event.delta)))
        elif event.type == "response.done":
            ended = self._end(event.response, now_s)
            notices += [ended] if ended.was_interrupted else self._hold(ended)
        elif event.type == "error":
            notices.append(Complained(event.error.message))
        return notices

    def _hear(self, item_id: str, text: str | None) -> list[Notice]:
        self._unheard.discard(item_id)
        notices: list[Notice] = [Heard(text)]
        if not self._unheard:
            notices += self._held
            self._held = []
        return notices

    def _hold(self, notice: Notice) -> list[Notice]:
        if self._unheard:
            self._held.append(notice)
            return []
        return [notice]

    def _end(self, response: RealtimeResponse, now_s: float) -> Answered:
        details = response.status_details
        if response.status == "cancelled" and details is not None and details.reason == "turn_detected":
            # Another turn is under way, and its answer is the one that is owed.
            return Answered(waits=None, was_interrupted=True)
        self._is_owed = False
        waits = self._turn.waits(now_s) if self._turn is not None else None
        if response.status == "completed":
            return Answered(waits)
        error = details.error if details is not None else None
        # The SDK's type has no message, and the platform gives one.
        said = getattr(error, "message", None) or getattr(error, "code", None)
        return Answered(waits, said or (details.reason if details is not None else None) or str(response.status))

    def _sent_at(self, position_ms: int, now_s: float) -> float:
        """Return when the sound at this position was sent; `now_s` where it is too long ago or not sent at all."""
        index = bisect_left(self._sent, (position_ms, 0.0))
        return self._sent[index][1] if index < len(self._sent) else now_s
