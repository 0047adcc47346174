"""One turn: a conversation is answered, and the answer spoken from its first sentence on."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncGenerator
from contextlib import aclosing

from antiphon.bus import OutputEvent
from antiphon.bus.tasks import end
from antiphon.calling import Desk, result_of, running
from antiphon.dialogue.events import Called, Ended, Paused, Refused, Restarted, Sounded, TurnEvent, Wrote
from antiphon.dialogue.speaking import BYTES_PER_S, Script, Voice, speak
from antiphon.errors import Failure
from antiphon.failures import first_error
from antiphon.schemas import Outcome, Priority, Reply, ReplyDelta, RespondJob
from antiphon.speech import SentenceStream

READ_AHEAD = 16
"""Events that are held for a slow listener. Then the turn waits, and what it waits for stays on the bus."""


async def answer(
    desk: Desk,
    job: RespondJob,
    *,
    voice: Voice | None,
    priority: Priority = "std",
    timeout_s: float,
    idle_s: float | None = None,
) -> AsyncGenerator[TurnEvent, None]:
    """Yield what happens in a turn, `Ended` last; closing the generator stops the tokens and the speech.

    After each `idle_s` seconds without anything comes a `Paused`. With `voice` the answer is spoken by a synthesizer; a
    model that speaks itself is given its voice by the job. Raises the errors of the jobs, and `Failure` when an answer
    that was begun is lost and the job may not restart.
    """
    turn = _Turn(desk, job, voice=voice, priority=priority, timeout_s=timeout_s)
    task = asyncio.create_task(turn.run(), name=f"turn-{job.id}")
    try:
        while not (task.done() and turn.events.empty()):
            try:
                async with asyncio.timeout(idle_s if turn.events.empty() else None):
                    event = await turn.events.get()
            except TimeoutError:
                event = Paused()
            if event is not None:
                yield event
        await task
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


class _Turn:
    """`run` puts events into `events`, and at its end None if somebody may be waiting for one."""

    def __init__(
        self, desk: Desk, job: RespondJob, *, voice: Voice | None, priority: Priority, timeout_s: float
    ) -> None:
        self.events: asyncio.Queue[TurnEvent | None] = asyncio.Queue(READ_AHEAD)
        self._desk = desk
        self._job = job
        self._voice = voice
        self._priority: Priority = priority
        self._timeout_s = timeout_s
        self._clear()

    async def run(self) -> None:
        """Work until the answer is whole. Raises the first error."""
        try:
            async with asyncio.TaskGroup() as group:
                reply = await self._write(group)
            await self.events.put(Ended(reply, speech_s=self._sound_bytes / BYTES_PER_S))
        except BaseExceptionGroup as errors:
            raise first_error(errors) from None
        finally:
            # A full queue has nobody waiting: its reader sees that this task has ended.
            with contextlib.suppress(asyncio.QueueFull):
                self.events.put_nowait(None)

    async def _write(self, group: asyncio.TaskGroup) -> Reply:
        speaking = self._begin_to_speak(group)
        async with (
            running(self._desk, self._job, priority=self._priority, timeout_s=self._timeout_s) as current,
            aclosing(current.events()) as events,
        ):
            async for event in events:
                match event:
                    case OutputEvent(kind="reset") if self._begun:
                        if not self._job.restart:
                            raise Failure("The answer was broken off and cannot be continued. Please try again.")
                        await end([speaking] if speaking else [])
                        self._clear()
                        speaking = self._begin_to_speak(group)
                        await self.events.put(Restarted())
                    case OutputEvent(kind="delta", data=data):
                        await self._pass_on(ReplyDelta.model_validate_json(data))
                    case OutputEvent(kind="audio", data=data):
                        await self._sound(data)
                    case OutputEvent(kind="outcome", data=data):
                        reply = Reply.model_validate(result_of(Outcome.model_validate_json(data)))
                        if self._voice is not None:
                            await self._put_down(self._sentences.finish())
                            await self._script.close()
                        return reply
        raise Failure("The answer ended before its result.")

    def _clear(self) -> None:
        self._begun = False
        self._sound_bytes = 0
        self._sentences = SentenceStream()
        self._script = Script()

    def _begin_to_speak(self, group: asyncio.TaskGroup) -> asyncio.Task[None] | None:
        return None if self._voice is None else group.create_task(self._speak(self._script, self._voice))

    async def _pass_on(self, delta: ReplyDelta) -> None:
        self._begun = True
        if delta.text:
            await self.events.put(Wrote(delta.text, delta.logprobs))
            if self._voice is not None:
                await self._put_down(self._sentences.feed(delta.text))
        if delta.refusal:
            await self.events.put(Refused(delta.refusal))
        if delta.tool_calls:
            await self.events.put(Called(delta.tool_calls))

    async def _put_down(self, sentences: list[str]) -> None:
        for sentence in sentences:
            await self._script.write(sentence)

    async def _speak(self, script: Script, voice: Voice) -> None:
        sound = speak(self._desk, script, voice, priority=self._priority, timeout_s=self._timeout_s)
        async with aclosing(sound):
            async for pcm in sound:
                await self._sound(pcm)

    async def _sound(self, pcm: bytes) -> None:
        self._begun = True
        self._sound_bytes += len(pcm)
        await self.events.put(Sounded(pcm))
