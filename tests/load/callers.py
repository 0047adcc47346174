"""Requests over HTTP: recordings to be written down, texts to be spoken, questions asked aloud."""

from __future__ import annotations

import asyncio
import base64
import itertools
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import httpx
import orjson

from tests.bench.clips import cut_clips, english_paths, read_clips, told_anew
from tests.load.tally import REFUSALS, Request, Tally, Unanswered

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator, Sequence
    from contextlib import AbstractAsyncContextManager
    from pathlib import Path

    from tests.bench.clips import Clip
    from tests.load.options import Names

TRANSCRIPTIONS, SPEECH, CHAT = "/audio/transcriptions", "/audio/speech", "/chat/completions"
PCM_BYTES_PER_S = 48_000
MANNER = "You are talking on the phone. Answer in two short sentences."
TEXTS = (
    "The train to the coast leaves at a quarter past nine.",
    "Please take your seats. The doors close in a minute, and the next stop is the harbour.",
    "Nobody had told the gardener that the roses were to be cut, so he watered them, sang to them, and went home at "
    "noon as he always did. In the evening the roses stood there as proud as ever.",
)
TOKENS = 48
_SECONDS = (5.0, 8.0, 13.0)


@dataclass
class Sounds:
    """What is said: short recordings, each a question of its own, and longer ones for files and jobs."""

    questions: list[Clip]
    files: list[Clip]
    _next: dict[str, Iterator[Any]] = field(default_factory=dict)

    @classmethod
    async def read(cls, folder: Path) -> Sounds:
        """Cut and decode them. Raises `WeightsMissing` naming the command that pulls them."""
        questions = await read_clips(english_paths()[1:])
        return cls(questions, [*questions, *await cut_clips(folder, lengths_s=_SECONDS)])

    def next(self, name: str, of: Sequence[Any]) -> Any:
        """Return the next of some things, round and round, for each name by itself."""
        return next(self._next.setdefault(name, itertools.cycle(of)))


@dataclass
class Callers:
    """Sends requests, one at a time for each call of a method."""

    client: httpx.AsyncClient
    tally: Tally
    sounds: Sounds
    names: Names
    come_back: bool = False

    async def file(self, due_s: float) -> None:
        """Have a recording written down; every other one streamed."""
        clip, streamed = self.sounds.next("files", self.sounds.files), self.sounds.next("streamed", (False, True))
        async with self.tally.request("files", due_s) as request:
            await self.transcribe(request, clip, streamed=streamed)

    async def transcribe(self, request: Request, clip: Clip, *, streamed: bool = False) -> None:
        """Have `clip` written down."""
        form = {"model": "gpt-4o-transcribe" if streamed else self.names.files, "language": "en"}
        if streamed:
            form["stream"] = "true"
        files = {"file": (clip.path.name, clip.data)}
        request.sound_s = clip.duration_s
        async with self.exchange(request, TRANSCRIPTIONS, data=form, files=files) as reply:
            if not streamed:
                request.written = orjson.loads(await reply.aread())["text"]
                return
            ended = False
            async for event in events_of(reply):
                if event.get("type") == "transcript.text.delta" and request.first_s is None:
                    request.first_s = self.tally.now()
                ended = ended or event.get("type") == "transcript.text.done"
                if "error" in event:
                    raise Unanswered("error in the stream")
            if not ended:
                raise Unanswered("stream without an end")

    async def speech(self, due_s: float) -> None:
        """Have a text spoken."""
        async with self.tally.request("speech", due_s) as request:
            await self.speak(request, self.sounds.next("texts", TEXTS))

    async def speak(self, request: Request, text: str) -> None:
        """Have `text` spoken, as it comes."""
        body = {"model": self.names.speech, "voice": "alloy", "input": text, "response_format": "pcm"}
        size = 0
        async with self.exchange(request, SPEECH, json=body) as reply:
            async for data in reply.aiter_raw():
                if request.first_s is None and data:
                    request.first_s = self.tally.now()
                size += len(data)
        if not size:
            raise Unanswered("no sound")
        request.sound_s = size / PCM_BYTES_PER_S

    async def chat(self, due_s: float) -> None:
        """Ask aloud and have it answered aloud."""
        clip = self.sounds.next("chat", self.sounds.questions)
        async with self.tally.request("chat", due_s) as request:
            sound = {"data": base64.b64encode(told_anew(clip.data)).decode(), "format": "wav"}
            await self.ask(request, [{"type": "input_audio", "input_audio": sound}], spoken=True)

    async def ask(
        self, request: Request, content: str | list[dict[str, Any]], *, spoken: bool, tokens: int = TOKENS
    ) -> None:
        """Ask a language model; `first_s` is the first sound, or the first text where nothing is to be spoken."""
        body: dict[str, Any] = {
            "model": self.names.chat,
            "messages": [{"role": "system", "content": MANNER}, {"role": "user", "content": content}],
            "max_completion_tokens": tokens,
            "temperature": 0,
            "stream": True,
            "stream_options": {"include_usage": True},
        }
        if spoken:
            body |= {"modalities": ["text", "audio"], "audio": {"voice": "alloy", "format": "pcm16"}}
        size = 0
        async with self.exchange(request, CHAT, json=body) as reply:
            async for event in events_of(reply):
                if "error" in event:
                    raise Unanswered("error in the stream")
                request.tokens = _text_tokens(event.get("usage") or {}) or request.tokens
                for choice in event.get("choices") or ():
                    delta = choice.get("delta") or {}
                    audio = delta.get("audio") or {}
                    text = (audio.get("transcript") if spoken else delta.get("content")) or ""
                    if text:
                        request.written += text
                        request.token_s = request.token_s or self.tally.now()
                    if audio.get("data"):
                        size += len(audio["data"]) * 3 // 4
                    if request.first_s is None and (size if spoken else text):
                        request.first_s = self.tally.now()
        request.sound_s = size / PCM_BYTES_PER_S
        if request.first_s is None:
            raise Unanswered("no sound" if spoken else "no text")

    def note(self, method: str, route: str, status: int) -> None:
        """Count an answer, by the name under which the platform counts it."""
        self.tally.sent[f"{method} {self.client.base_url.path.rstrip('/')}{route} {status}"] += 1

    def exchange(self, request: Request, route: str, **sent: Any) -> AbstractAsyncContextManager[httpx.Response]:
        """Send something and yield the answer once it is a good one; who is refused may come back."""
        return _Exchange(self, request, route, sent)


@dataclass
class _Exchange:
    callers: Callers
    request: Request
    route: str
    sent: dict[str, Any]
    reply: httpx.Response | None = None

    async def __aenter__(self) -> httpx.Response:
        client = self.callers.client
        while True:
            reply = await client.send(
                client.build_request("POST", self.route.removeprefix("/"), **self.sent), stream=True
            )
            self.callers.note("POST", self.route, reply.status_code)
            if reply.is_success:
                self.reply = reply
                return reply
            await reply.aread()
            await reply.aclose()
            refused = reply.status_code in REFUSALS
            self.request.refusals += refused
            if not refused or not self.callers.come_back:
                reply.raise_for_status()
            await asyncio.sleep(told_s(reply))

    async def __aexit__(self, *error: object) -> None:
        if self.reply is not None:
            await self.reply.aclose()


def told_s(reply: httpx.Response) -> float:
    """Return when to come back, as the official clients read it: milliseconds first."""
    if told := reply.headers.get("retry-after-ms"):
        return float(told) / 1000
    return float(reply.headers.get("retry-after", 1.0))


async def events_of(reply: httpx.Response) -> AsyncIterator[dict[str, Any]]:
    """Yield the data of server-sent events."""
    async for line in reply.aiter_lines():
        if line.startswith("data:") and (data := line[5:].strip()) != "[DONE]":
            event = orjson.loads(data)
            if isinstance(event, dict):
                yield event


def _text_tokens(usage: dict[str, Any]) -> int:
    """Return what was written of an answer, without its sound."""
    details = usage.get("completion_tokens_details") or {}
    return int(usage.get("completion_tokens") or 0) - int(details.get("audio_tokens") or 0)
