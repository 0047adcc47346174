"""Live sessions: a microphone that is always on, and somebody who speaks, listens to the answer, and speaks again."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from contextlib import suppress
from dataclasses import dataclass, field
from random import Random
from typing import TYPE_CHECKING, Any

from tests.bench.realtime_line import CHUNK_MS, Line, frames_of, open_line, pcm_of, silence
from tests.load.callers import MANNER, PCM_BYTES_PER_S, TOKENS
from tests.load.tally import Unanswered, is_refusal, name_error

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tests.bench.clips import Clip
    from tests.bench.platform import Door
    from tests.load.tally import Request, Tally

SILENCE_MS = 500
_THINK_S = 1.0
"""Between the end of an answer and the beginning of the next question, in the mean."""
_TURN_S = 120.0
_AGAIN_S = 2.0
"""After which somebody whose session was not opened or has ended tries again."""
_SILENT = frames_of(silence(CHUNK_MS))[0]


@dataclass
class Microphone:
    """Sends a chunk of sound every 40 ms: what is to be said, else silence."""

    line: Line
    _said: deque[str] = field(default_factory=deque)

    def say(self, frames: Sequence[str]) -> None:
        """Say something, after what is being said."""
        self._said.extend(frames)

    async def run(self) -> None:
        """Send until the session ends. Chunks that could not be sent in time go out one after the other."""
        due = time.perf_counter()
        while self.line.failed is None:
            await asyncio.sleep(max(0.0, due - time.perf_counter()))
            self.line.sent_s.append(time.perf_counter())
            await self.line.socket.send(self._said.popleft() if self._said else _SILENT)
            due += CHUNK_MS / 1000


@dataclass
class Talker:
    """One who holds a session as long as the run lasts, and opens another one when it breaks."""

    door: Door
    tally: Tally
    clips: Sequence[Clip]
    model: str
    rng: Random
    number: int = 0
    quiet_s: float = 0.0
    """Only to be there, without a word, for so long: to see what that costs."""

    async def hold(self, until_s: float) -> None:
        """Talk until that moment of the run; a turn that has begun is ended."""
        said = [(clip, frames_of(pcm_of(clip.samples))) for clip in self.clips]
        while self.tally.now() < until_s:
            opened_s = self.tally.now()
            try:
                async with open_line(self.door, f"model={self.model}", session_of(answering=not self.quiet_s)) as line:
                    self.tally.sent["GET /v1/realtime 101"] += 1
                    await self._talk(line, said, until_s)
            except asyncio.CancelledError:
                raise
            except Exception as error:
                if self.tally.now() >= until_s and isinstance(error, _Over):
                    return
                # A session that ends in the middle of a turn has been counted with the turn.
                if not isinstance(error, _Over):
                    async with self.tally.request("sessions", opened_s) as request:
                        request.refusals += is_refusal(name_error(error))
                        raise
                await asyncio.sleep(_AGAIN_S)

    async def _talk(self, line: Line, said: Sequence[tuple[Clip, list[str]]], until_s: float) -> None:
        microphone = Microphone(line)
        speaking = asyncio.create_task(microphone.run())
        try:
            await asyncio.sleep(self.quiet_s or self.rng.random() * _THINK_S)
            while self.tally.now() < until_s and not self.quiet_s:
                clip, frames = self.rng.choice(said)
                microphone.say(frames)
                listen_s = await self._turn(line, clip)
                # Who listens hears the answer from its first sound on, at the pace of speech.
                await asyncio.sleep(listen_s + self.rng.expovariate(1 / _THINK_S))
        finally:
            speaking.cancel()
            with suppress(asyncio.CancelledError, Exception):
                await speaking

    async def _turn(self, line: Line, clip: Clip) -> float:
        """Follow one turn; return how long its answer still sounds."""
        line.came.clear()
        listen_s = 0.0
        # Due when its speech has ended; until that is known, when it will have.
        async with self.tally.request("sessions", self.tally.now() + clip.duration_s) as request:
            request.session = self.number
            listen_s = await asyncio.wait_for(self._follow(line, request), _TURN_S)
        if request.error or line.failed is not None:
            raise _Over
        return listen_s

    async def _follow(self, line: Line, request: Request) -> float:
        began = self.tally.began
        _, stopped = await line.until("input_audio_buffer.speech_stopped")
        # As the detection hears it: what it waits for is the silence after this moment.
        request.due_s = line.sent_at(stopped["audio_end_ms"] - SILENCE_MS) - began
        text_s, _ = await line.until("response.output_audio_transcript.delta")
        sound_s, _ = await line.until("response.output_audio.delta")
        done_s, done = await line.until("response.done")
        request.token_s, request.first_s = text_s - began, sound_s - began
        response = done["response"]
        request.tokens = (response.get("usage") or {}).get("output_token_details", {}).get("text_tokens") or 0
        size = sum(event["delta"] for _, event in line.came if event["type"] == "response.output_audio.delta")
        request.written = "".join(
            event["delta"] for _, event in line.came if event["type"] == "response.output_audio_transcript.delta"
        )
        request.sound_s = size / PCM_BYTES_PER_S
        if response["status"] not in ("completed", "incomplete"):
            raise Unanswered(f"response {response['status']}")
        return max(0.0, request.sound_s - (done_s - sound_s))


class _Over(Exception):
    """The session has ended under a turn."""


def session_of(*, answering: bool = True) -> dict[str, Any]:
    """Return how a session is set up."""
    detection: dict[str, Any] = {"type": "server_vad", "silence_duration_ms": SILENCE_MS}
    return {
        "type": "realtime",
        "instructions": MANNER,
        "max_output_tokens": TOKENS,
        "audio": {
            "input": {
                "transcription": {"model": "whisper-1", "language": "en"},
                "turn_detection": detection if answering else {**detection, "create_response": False},
            }
        },
    }
