"""What a session hears: its listener, in the session's own positions, and how a successor gets one that is alike."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Iterable, Sequence
from typing import Any, Protocol

from antiphon.audio.samples import Samples
from antiphon.audio.speech_gate import FRAME_SAMPLES
from antiphon.bus import SessionInput
from services.realtime.session.commands import Listen
from services.realtime.session.happenings import Appended

_MARK_EVERY, _MARK_AT_LAST = 4_000, 16_000
"""Positions between two places at which the input may be cut: at least, and at most where audio flows."""
_WARM_UP = 16_000
"""Positions that are heard again before the first one that may be asked for: a listener has to find its feet."""
_REPLAYED_TOGETHER = 50
"""Entries that are heard again in one go."""


class Listener(Protocol):
    """The part of the ears' `Listener` that is needed here."""

    @property
    def position(self) -> int:
        """Where the input ends."""
        ...

    def tune(self, *, format: str, detect: bool, noise_reduction: str | None) -> None:
        """Hear like this from now on."""
        ...

    async def hear(self, raw: Sequence[bytes]) -> tuple[int, tuple[float, ...]]:
        """Take audio; return the positions it brings and the probabilities of voice."""
        ...

    def wav(self, start: int, stop: int) -> bytes:
        """Return a range as a WAV file."""
        ...

    def raw(self, start: int, stop: int) -> bytes:
        """Return a range in the format of the input."""
        ...

    def samples(self, start: int, stop: int) -> Samples:
        """Return a range as samples."""
        ...

    def forget(self, before: int) -> None:
        """Free what lies before a position."""
        ...


class Ear:
    """The listener of one session. Positions count from the beginning of the session, whoever held it."""

    def __init__(self, listener: Listener) -> None:
        self.position = 0
        """Where the input ends."""
        self.format = "audio/pcm"
        self._listener = listener
        self._offset = 0
        self._marks: deque[tuple[str, int]] = deque()
        """Entries and the positions at which they begin."""
        self._detects_from: int | None = None
        self._tunings: deque[tuple[str, Listen]] = deque()
        """How to hear what comes behind an entry."""

    def expect(self, how: Listen, *, entry: str) -> None:
        """Note that what comes behind an entry is heard like this; `tune` has to follow before it is."""
        if not self._marks:
            self._tunings.clear()
        self._tunings.append((entry, how))

    def tune(self, how: Listen) -> None:
        """Hear like this from now on. Another format forgets what was heard before."""
        self.format = how.format
        self._listener.tune(format=how.format, detect=how.detect, noise_reduction=how.noise_reduction)
        if not how.detect:
            self._detects_from = None
        elif self._detects_from is None:
            self._detects_from = self.position

    async def hear(self, entries: Sequence[SessionInput]) -> Appended:
        """Hear audio that comes in one piece."""
        if self._is_good_to_begin():
            self._marks.append((entries[0].entry.decode(), self.position))
        length, voice = await self._listener.hear([entry.data for entry in entries])
        self.position += length
        return Appended(length, voice)

    async def wav(self, start: int, stop: int) -> bytes:
        """Return a range of the input as a WAV file."""
        return await asyncio.to_thread(self._listener.wav, *self._within(start, stop))

    async def raw(self, start: int, stop: int) -> bytes:
        """Return a range of the input in its own format."""
        return await asyncio.to_thread(self._listener.raw, *self._within(start, stop))

    def samples(self, start: int, stop: int) -> Samples:
        """Return a range of the input as samples."""
        return self._listener.samples(*self._within(start, stop))

    def release(self, before: int, *, quiet: bool = False) -> None:
        """Let go of entries of the input that nobody has to hear again: all that lies well before a position.

        Where it is `quiet`, because no audio has come for a while, a successor may as well begin anew.
        """
        if quiet and before >= self.position:
            self._marks.clear()
            while len(self._tunings) > 1:
                self._tunings.popleft()
        needed = max(0, before - _WARM_UP)
        while len(self._marks) > 1 and self._marks[1][1] <= needed:
            self._marks.popleft()
        if self._marks:
            first = _order(self._marks[0][0])
            while len(self._tunings) > 1 and _order(self._tunings[1][0]) < first:
                self._tunings.popleft()

    def forget(self, before: int) -> None:
        """Free what is held before a position: nobody asks for it any more."""
        self._listener.forget(max(0, min(before, self.position) - self._offset))

    @property
    def first(self) -> str | None:
        """The first entry of the input that a successor has to hear again, if any."""
        return self._marks[0][0] if self._marks else None

    def state(self) -> dict[str, Any]:
        """Return what a successor has to know; JSON can say it."""
        return {
            "position": self.position,
            "first": self.first,
            "tunings": [[entry, how.format, how.detect, how.noise_reduction] for entry, how in self._tunings],
        }

    async def catch_up(self, state: dict[str, Any], entries: Iterable[SessionInput]) -> None:
        """Hear again what the worker before heard last, so that this listener is as its listener was.

        `entries` are those from the first that is needed up to the last that was heard.
        """
        self._tunings.extend((entry, Listen(format, *rest)) for entry, format, *rest in state["tunings"])
        waiting = deque(self._tunings)
        together: list[SessionInput] = []
        for entry in entries:
            due = bool(waiting) and _order(waiting[0][0]) < _order(entry.entry.decode())
            if due or len(together) >= _REPLAYED_TOGETHER:
                await self._hear_again(together)
            while waiting and _order(waiting[0][0]) < _order(entry.entry.decode()):
                self.tune(waiting.popleft()[1])
            if entry.kind == "audio":
                together.append(entry)
        await self._hear_again(together)
        for _, how in waiting:
            self.tune(how)
        # A listener that begins in the middle may give a few samples less: the end is what has to agree.
        self._offset = state["position"] - self.position
        self._marks = deque((entry, start + self._offset) for entry, start in self._marks)
        if self._detects_from is not None:
            self._detects_from += self._offset
        self.position = state["position"]

    async def _hear_again(self, entries: list[SessionInput]) -> None:
        if entries:
            await self.hear(entries)
            entries.clear()

    def _is_good_to_begin(self) -> bool:
        """Tell whether a successor might begin here: its frames should be those that the machine counts."""
        if not self._marks:
            return True
        since = self.position - self._marks[-1][1]
        if since < _MARK_EVERY:
            return False
        return since >= _MARK_AT_LAST or (self.position - (self._detects_from or 0)) % FRAME_SAMPLES == 0

    def _within(self, start: int, stop: int) -> tuple[int, int]:
        """Return a range in the listener's positions, as far as it has it."""
        stop = min(stop, self.position) - self._offset
        return max(0, min(start - self._offset, stop)), max(0, stop)


def _order(entry: str) -> tuple[int, int]:
    milliseconds, _, number = entry.partition("-")
    return int(milliseconds), int(number)
