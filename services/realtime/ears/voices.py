"""The voice detector's steps of all sessions, taken together.

A step of the model for twenty sessions costs as much as five for one, so what is due together goes into one step: all
frames that come within one turn of the event loop; and, while steps follow each other closely, within the pause between
them. So a busy process takes fewer and larger steps, and a quiet one never waits.

A step for one session takes a quarter of a millisecond, and a thread and back would add half of that: a few frames are
heard in the loop itself. More than that goes to a thread, where every session in turn has one frame of its own heard,
so one that sends minutes at once holds up nobody.
"""

from __future__ import annotations

import asyncio
import threading
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from queue import Empty, SimpleQueue
from types import TracebackType
from typing import Self

from antiphon.audio.samples import Samples
from antiphon.audio.vad import VoiceDetector, VoiceModel, step_together

_AT_ONCE = 3
"""Frames that are heard in the loop."""
_TOGETHER = 32
"""Sessions in one step: 2 ms of work."""
_PAUSE_S = 0.01
"""From the beginning of one step to that of the next, at least."""


@dataclass(eq=False, slots=True)
class _Hearing:
    """Frames of one session, shape (n, 512), on their way to being heard."""

    detector: VoiceDetector
    frames: Sequence[Samples]
    done: asyncio.Future[None]
    heard: list[float] = field(default_factory=list)
    error: Exception | None = None

    @property
    def over(self) -> bool:
        return len(self.heard) == len(self.frames) or self.error is not None or self.done.cancelled()


class Voices:
    """Used from one event loop, `async with`, which owns its thread."""

    def __init__(self, model: VoiceModel) -> None:
        self._model = model
        self._due: list[_Hearing] = []
        self._in_thread: set[_Hearing] = set()
        self._queue: SimpleQueue[list[_Hearing] | None] = SimpleQueue()
        self._next_at = 0.0

    async def __aenter__(self) -> Self:
        self._loop = asyncio.get_running_loop()
        self._thread = threading.Thread(target=self._listen, name="voices", daemon=True)
        self._thread.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._queue.put(None)
        await asyncio.to_thread(self._thread.join)
        for hearing in (*self._due, *self._in_thread):
            hearing.done.cancel()

    def detector(self) -> VoiceDetector:
        """Return the memory of one session."""
        return VoiceDetector(self._model)

    async def hear(self, detector: VoiceDetector, frames: Sequence[Samples]) -> list[float]:
        """Return the probability of voice in each of the next `frames`, each of shape (512,)."""
        hearing = _Hearing(detector, frames, self._loop.create_future())
        self._due.append(hearing)
        if len(self._due) == 1:
            # A turn later, for the tasks that are to run in this one.
            if (wait_s := self._next_at - self._loop.time()) > 0:
                self._loop.call_later(wait_s, self._begin)
            else:
                self._loop.call_soon(self._begin)
        await hearing.done
        if hearing.error is not None:
            raise hearing.error
        return hearing.heard

    def _begin(self) -> None:
        due, self._due = self._due, []
        self._next_at = self._loop.time() + _PAUSE_S
        if self._in_thread or sum(len(hearing.frames) for hearing in due) > _AT_ONCE:
            self._in_thread.update(due)
            self._queue.put(due)
            return
        while due:
            self._step(due)
            self._settle(due)
            due = [hearing for hearing in due if not hearing.over]

    def _step(self, hearings: Sequence[_Hearing]) -> None:
        """Hear one frame of each."""
        try:
            frames = [hearing.frames[len(hearing.heard)] for hearing in hearings]
            voice = step_together(self._model, [hearing.detector for hearing in hearings], frames)
        except Exception as error:
            for hearing in hearings:
                hearing.error = error
            return
        for hearing, probability in zip(hearings, voice, strict=True):
            hearing.heard.append(probability)

    def _settle(self, hearings: Sequence[_Hearing]) -> None:
        for hearing in hearings:
            if hearing.over:
                self._in_thread.discard(hearing)
                if not hearing.done.done():
                    hearing.done.set_result(None)

    def _listen(self) -> None:
        """Work until None comes. Runs in the thread."""
        waiting: deque[_Hearing] = deque()
        while True:
            try:
                while (more := self._queue.get(block=not waiting)) is not None:
                    waiting.extend(more)
                return
            except Empty:
                pass
            turn = [waiting.popleft() for _ in range(min(_TOGETHER, len(waiting)))]
            if going_on := [hearing for hearing in turn if not hearing.over]:
                self._step(going_on)
            waiting.extend(hearing for hearing in turn if not hearing.over)
            if over := [hearing for hearing in turn if hearing.over]:
                self._loop.call_soon_threadsafe(self._settle, over)
