"""Everything that clients do, all of it at once and again and again, with the official SDK and without a second try."""

from __future__ import annotations

import asyncio
import base64
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import openai

from antiphon.cli.wer import word_error_rate
from tests.contract.realtime_client import Talk, talking
from tests.contract.realtime_models import ECHO, SLOW
from tests.contract.realtime_sounds import spoken_turn
from tests.eventually import eventually

Exchanges = Mapping[str, Callable[[], Awaitable[None]]]

PAUSE_S = 1.0
HELLO, JAPANESE = "en/hello_world.wav", "ja/konnichiwa_sekai.wav"
SPEECH = (
    "The train leaves at noon, and it will not wait for anybody. Bring a coat, for it is cold in the mountains. "
    "Take something to read with you, because the journey is long. When you arrive, ask for the inn at the market. "
    "They know that you are coming, and they have kept a room for you that looks out over the river. "
)
QUESTION = "One two three four five six seven eight nine ten eleven twelve."
SENTENCE = "This is what was said to me."


@dataclass
class Traffic:
    """What is asked for, what is under way, and what has been done."""

    client: openai.AsyncOpenAI
    clips: Path
    hook_url: str
    done: Counter[str] = field(default_factory=Counter)
    begun: Counter[str] = field(default_factory=Counter)
    """Exchanges of which the first bytes are there and the last ones are not."""
    jobs: list[str] = field(default_factory=list)
    over: asyncio.Event = field(default_factory=asyncio.Event)

    _speech: bytes = b""

    def callers(self) -> list[Exchanges]:
        """Return what is done by callers of whom each does one thing after the other, by its name."""
        return [
            {
                "transcription": self.transcribe,
                "streamed transcription": self.stream_transcription,
                "translation": self.translate,
            },
            {"speech": self.speak},
            {"chat": self.chat, "streamed chat": self.stream_chat},
            {"job": self.order},
        ]

    async def repeat(self, exchanges: Exchanges) -> None:
        """Do all of it again and again until it is over. Whatever goes wrong in it goes wrong for the test."""
        while not self.over.is_set():
            for kind, exchange in exchanges.items():
                await exchange()
                self.done[kind] += 1
                await asyncio.sleep(PAUSE_S)

    async def all_done(self, *, within_s: float = 120.0) -> None:
        """Wait until everything has been done once more."""
        kinds = [kind for exchanges in self.callers() for kind in exchanges]
        wanted = {kind: self.done[kind] + 1 for kind in (*kinds, "turn", "spoken turn")}
        await eventually(lambda: all(self.done[kind] >= count for kind, count in wanted.items()), within_s=within_s)

    async def under_way(self, kind: str, *, within_s: float = 60.0) -> None:
        """Wait until something of a kind has begun."""
        await eventually(lambda: self.begun[kind] > 0, within_s=within_s)

    @contextmanager
    def _under_way(self, kind: str) -> Iterator[None]:
        self.begun[kind] += 1
        try:
            yield
        finally:
            self.begun[kind] -= 1

    async def transcribe(self) -> None:
        with self._under_way("transcription"):
            heard = await self.client.audio.transcriptions.create(
                model="whisper-1", file=self.clips / HELLO, language="en"
            )
        assert word_error_rate("Hello world.", heard.text) == 0, heard.text

    async def stream_transcription(self) -> None:
        stream = await self.client.audio.transcriptions.create(
            model="gpt-4o-transcribe", file=self.clips / HELLO, language="en", stream=True
        )
        text = ""
        with self._under_way("streamed transcription"):
            events = [event async for event in stream]
        text = "".join(event.delta for event in events if event.type == "transcript.text.delta")
        assert events[-1].type == "transcript.text.done"
        assert events[-1].text == text
        assert word_error_rate("Hello world.", text) == 0, text

    async def translate(self) -> None:
        with self._under_way("translation"):
            meant = await self.client.audio.translations.create(model="whisper-1", file=self.clips / JAPANESE)
        assert word_error_rate("Hello world.", meant.text) <= 0.5, meant.text

    async def speak(self) -> None:
        """Have a text spoken that takes a while; it sounds the same each time."""
        sound = b""
        async with self.client.audio.speech.with_streaming_response.create(
            model="tts-1", voice="alloy", input=SPEECH, response_format="pcm"
        ) as response:
            with self._under_way("speech"):
                async for piece in response.iter_bytes():
                    sound += piece
        self._speech = self._speech or sound
        assert sound == self._speech

    async def chat(self) -> None:
        answer = await self.client.chat.completions.create(model=ECHO, messages=[{"role": "user", "content": QUESTION}])
        assert answer.choices[0].message.content == f"You said: {QUESTION}"

    async def stream_chat(self) -> None:
        stream = await self.client.chat.completions.create(
            model=SLOW, messages=[{"role": "user", "content": QUESTION}], stream=True
        )
        text, reason = "", None
        with self._under_way("streamed chat"):
            async for chunk in stream:
                text += chunk.choices[0].delta.content or ""
                reason = chunk.choices[0].finish_reason or reason
        assert (text, reason) == (f"You said: {QUESTION}", "stop")

    async def order(self) -> None:
        """Order a job and look at it from time to time; a webhook tells when it has ended."""
        sound = f"data:audio/wav;base64,{base64.b64encode((self.clips / HELLO).read_bytes()).decode()}"
        spoken = len(self.jobs) % 2
        job: dict[str, Any] = (
            {"kind": "synthesize", "model": "tts-1", "voice": "alloy", "input": "The train leaves at noon."}
            if spoken
            else {"kind": "transcribe", "model": "whisper-1", "language": "en", "audio": {"data": sound}}
        )
        # Not at the lowest priority, at which a busy machine never comes to it.
        job |= {"webhook": {"url": self.hook_url}, "priority": "std"}
        placed = await self.client.post("/jobs", body=job, cast_to=dict[str, Any])
        self.jobs.append(placed["id"])
        with self._under_way("job"):
            while (seen := await self.job(placed["id"]))["status"] in {"queued", "running"}:
                await asyncio.sleep(PAUSE_S)
        assert (seen["status"], seen["attempts"]) == ("completed", 1), seen

    async def job(self, job_id: str) -> dict[str, Any]:
        """Return a job as it is now."""
        return await self.client.get(f"/jobs/{job_id}", cast_to=dict[str, Any])

    async def type_and_listen(self, talk: Talk) -> None:
        """Ask in writing; the answer is spoken."""
        await talk.say(SENTENCE)
        await talk.send("response.create")
        await self._answer(talk, "turn", f"You said: {SENTENCE}")

    async def talk_and_read(self, talk: Talk) -> None:
        """Ask aloud; the answer is written."""
        await talk.hear(spoken_turn(self.clips / HELLO))
        await self._answer(talk, "spoken turn", "You said: Hello world.")

    async def _answer(self, talk: Talk, kind: str, wanted: str) -> None:
        created = (await talk.until("response.created"))["response"]["id"]
        with self._under_way(kind):
            done = (await talk.until("response.done"))["response"]
        assert (done["id"], done["status"]) == (created, "completed"), done
        assert word_error_rate(wanted, talk.text(created)) == 0, talk.text(created)

    async def converse(self, model: str, turn: Callable[[Talk], Awaitable[None]], kind: str, **session: Any) -> Talk:
        """Talk on one socket until it is over; return what was said."""
        async with talking(self.client, model) as talk:
            await talk.until("session.created")
            await talk.update(**session)
            await self.repeat({kind: lambda: turn(talk)})
            await talk.settled()
            assert talk.closed is None
        return talk


@asynccontextmanager
async def flowing(traffic: Traffic) -> AsyncIterator[list[asyncio.Task[Talk]]]:
    """Have all of it go on until the block is left; yields the conversations, which end then."""
    hears = {"type": "server_vad", "silence_duration_ms": 400}
    async with asyncio.TaskGroup() as group:
        for exchanges in traffic.callers():
            group.create_task(traffic.repeat(exchanges))
        yield [
            group.create_task(traffic.converse(SLOW, traffic.type_and_listen, "turn", output_modalities=["audio"])),
            group.create_task(
                traffic.converse(
                    ECHO,
                    traffic.talk_and_read,
                    "spoken turn",
                    output_modalities=["text"],
                    audio={"input": {"turn_detection": hears, "transcription": {"model": "whisper-1"}}},
                )
            ),
        ]
        traffic.over.set()
