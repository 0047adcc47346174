"""From a chat request to its answer: what was said is heard, the turn is taken, the answer sent and remembered."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass
from functools import cached_property

import orjson
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from antiphon.audio.sound_file import SoundFile
from antiphon.calling import Desk
from antiphon.dialogue.events import Ended, Paused, Restarted, Sounded, TurnEvent
from antiphon.dialogue.speaking import Voice
from antiphon.dialogue.turn import answer
from antiphon.errors import AntiphonError, Failure
from antiphon.models import Model, find_voice
from antiphon.schemas import AudioFormat, AudioPart, RespondJob
from services.ingest.access.principal import Principal
from services.ingest.answers import fail_stream
from services.ingest.chat.conversation import messages_of, recall_answers
from services.ingest.chat.hearing import Ears, kept, put_into_words
from services.ingest.chat.request import ChatRequest
from services.ingest.chat.stored import new_completion_id
from services.ingest.disconnect import unless_gone
from services.ingest.formats.chat import AnswerAudio, Completion
from services.ingest.formats.chat_chunks import Chunks, SpokenId
from services.ingest.formats.chat_usage import usage_of
from services.ingest.platform import Platform
from services.ingest.sse import EventStream


@dataclass(frozen=True, kw_only=True)
class Chat:
    """A request with everything that its answer takes. `name` is the model's name as the caller wrote it."""

    platform: Platform
    request: ChatRequest
    model: Model
    name: str
    principal: Principal

    @property
    def tenant(self) -> str:
        """Whose conversation it is."""
        return self.principal.tenant

    @cached_property
    def desk(self) -> Desk:
        """Where the caller's work is done."""
        return self.principal.grant.at(self.platform.desk)

    @property
    def hears(self) -> bool:
        """Whether the model takes recordings itself."""
        return bool(self.model.options.get("hears"))

    @property
    def speaks(self) -> bool:
        """Whether the model gives sound itself."""
        return bool(self.model.options.get("speaks"))

    def voice(self) -> Voice | None:
        """Return who is to speak the answer, if not the model itself. Raises `InvalidValue` for an unknown voice."""
        spoken = self.request.spoken
        if spoken is None or self.speaks:
            return None
        catalogue = self.platform.catalogue
        speaker = catalogue.resolve(self.model.spoken_by or catalogue.default("synthesize"), "synthesize")
        known = speaker.options.get("voices")
        if known:
            find_voice(known, spoken.voice, param="audio.voice")
        return Voice(model=speaker.name, name=spoken.voice, tenant=self.tenant)


@dataclass(frozen=True)
class Turn:
    """The events of an answer that is being made, and how many seconds were heard before."""

    events: AsyncGenerator[TurnEvent, None]
    heard_s: float


class ChatResponse(Response):
    """A response that is made while jobs run, and ends them when the client leaves."""

    def __init__(self, chat: Chat) -> None:
        super().__init__()
        platform = chat.platform
        now_s = platform.bus.now_ms() / 1000
        self._chat = chat
        self._voice = chat.voice()
        self._completion = Completion(new_completion_id(now_s), int(now_s), chat.name, chat.request)
        self._spoken: SpokenId | None = None
        if chat.request.spoken is not None:
            remembered = platform.remembered.new_id(now_s)
            self._spoken = SpokenId(remembered.id, remembered.expires_at)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer. Raises `AntiphonError` while nothing is sent, `ClientDisconnect`."""
        send_answer = self._stream if self._chat.request.stream else self._send_whole
        await unless_gone(receive, send_answer(send))

    async def _send_whole(self, send: Send) -> None:
        async with self._turn() as turn:
            whole = await self._collect(turn)
        body = await asyncio.to_thread(orjson.dumps, whole)
        headers = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": body})

    async def _collect(self, turn: Turn) -> dict[str, object]:
        sound = self._sound_file()
        async for event in turn.events:
            match event:
                case Sounded(pcm) if sound is not None:
                    await asyncio.to_thread(sound.feed, pcm)
                case Restarted():
                    sound = self._sound_file()
                case Ended():
                    await self._remember(event)
                    return await self._whole(event, turn, sound)
        raise Failure("The answer ended before it was whole.")

    async def _stream(self, send: Send) -> None:
        stream = EventStream(send)
        # What is stored has the sound in one piece, which the chunks have not.
        sound = self._sound_file() if self._chat.request.store else None
        try:
            async with self._turn() as turn:
                chunks = Chunks(self._completion, spoken=self._spoken, heard_s=turn.heard_s)
                async for event in turn.events:
                    if isinstance(event, Paused):
                        await stream.ping()
                    if sound is not None and isinstance(event, Sounded):
                        await asyncio.to_thread(sound.feed, event.pcm)
                    if isinstance(event, Ended):
                        await self._remember(event)
                        if self._chat.request.store:
                            await self._whole(event, turn, sound)
                    for chunk in chunks(event):
                        await stream.emit(chunk)
        except AntiphonError as error:
            await fail_stream(stream, error)
        else:
            await stream.close(done=True)

    @asynccontextmanager
    async def _turn(self) -> AsyncIterator[Turn]:
        """Hear what was said and begin to answer; leaving the block ends the work."""
        chat, platform = self._chat, self._chat.platform
        timeout_s = platform.settings.request_timeout.total_seconds()
        expires_s = time.monotonic() + timeout_s
        recalled = await recall_answers(chat.request, platform.remembered, tenant=chat.tenant)
        async with self._recordings(timeout_s) as (recordings, heard_s):
            spoken = chat.request.spoken
            job = RespondJob(
                model=chat.name,
                tenant=chat.tenant,
                messages=messages_of(chat.request, recordings=recordings, recalled=recalled),
                tools=chat.request.tools,
                options=chat.request.options,
                voice=spoken.voice if spoken is not None and chat.speaks else None,
                restart=not chat.request.stream,
            )
            left_s = max(0.1, expires_s - time.monotonic())
            ping_s = platform.settings.ping.total_seconds()
            events = answer(chat.desk, job, voice=self._voice, timeout_s=left_s, idle_s=ping_s)
            async with aclosing(events):
                yield Turn(events, heard_s)

    @asynccontextmanager
    async def _recordings(self, timeout_s: float) -> AsyncIterator[tuple[dict[str, AudioPart], float]]:
        chat, platform = self._chat, self._chat.platform
        recordings = chat.request.recordings
        if chat.hears:
            async with kept(recordings, chat.desk) as parts:
                yield parts, 0.0
        elif not recordings:
            yield {}, 0.0
        else:
            name = chat.model.heard_by or platform.catalogue.default("transcribe")
            ears = Ears(chat.desk, platform.heard, name, chat.tenant)
            yield await put_into_words(recordings, ears, timeout_s=timeout_s)

    def _sound_file(self) -> SoundFile | None:
        spoken = self._chat.request.spoken
        if spoken is None:
            return None
        audio_format: AudioFormat = "pcm" if spoken.format == "pcm16" else spoken.format
        return SoundFile(audio_format)

    async def _remember(self, event: Ended) -> None:
        """Keep what was said, for a later turn that refers to it."""
        if self._spoken is not None and _is_spoken(event):
            remembered, tenant = self._chat.platform.remembered, self._chat.tenant
            await remembered.remember(self._spoken.id, event.reply.text, tenant=tenant)

    async def _whole(self, event: Ended, turn: Turn, sound: SoundFile | None) -> dict[str, object]:
        """Return the completion in one piece, stored if that was asked for."""
        chat = self._chat
        audio = None
        if self._spoken is not None and _is_spoken(event):
            data = await asyncio.to_thread(sound.finish) if sound is not None else b""
            audio = AnswerAudio(self._spoken.id, data, self._spoken.expires_at, event.reply.text)
        usage = usage_of(event.reply, heard_s=turn.heard_s, speech_s=event.speech_s)
        # Minutes of sound take a while to be put into base64.
        whole = await asyncio.to_thread(self._completion.whole, event.reply, usage=usage, audio=audio)
        if chat.request.store:
            stored = chat.platform.stored
            await stored.put(whole, tenant=chat.tenant, body=chat.request.body, metadata=chat.request.metadata)
        return whole


def _is_spoken(event: Ended) -> bool:
    return bool(event.reply.text or event.speech_s)
