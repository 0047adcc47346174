"""Interpreting sessions, through the official SDK."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import openai
import pytest
from openai.lib.realtime_translation import AsyncTranslationSession
from openai.types.realtime.realtime_translation_server_event import RealtimeTranslationServerEvent
from pydantic import TypeAdapter
from websockets.exceptions import ConnectionClosed

from antiphon.cli.wer import word_error_rate
from tests.contract.chat_talk import MISHEARD, misheard, transcribed
from tests.contract.realtime_sounds import loudness, silence, speech

pytestmark = [pytest.mark.contract, pytest.mark.timeout(180)]

MODEL = "gpt-realtime-translate"
WITHIN_S = 90.0
COUNT = "One two three four five six seven eight nine ten."

_EVENTS: TypeAdapter[Any] = TypeAdapter(RealtimeTranslationServerEvent)


@dataclass
class Interpreted:
    """An open session, and all that has come."""

    connection: Any
    log: list[dict[str, Any]] = field(default_factory=list)

    async def update(self, **audio: Any) -> dict[str, Any]:
        """Change the session; return the answer."""
        await self.connection.send({"type": "session.update", "event_id": "mine", "session": {"audio": audio}})
        return await self.until("session.updated", "error")

    async def hear(self, sound: bytes, *, chunk_ms: int = 200) -> None:
        """Append sound at real time."""
        size, started = 48 * chunk_ms, time.monotonic()
        for number, start in enumerate(range(0, len(sound), size)):
            await asyncio.sleep(max(0.0, started + number * chunk_ms / 1000 - time.monotonic()))
            audio = base64.b64encode(sound[start : start + size]).decode()
            await self.connection.send({"type": "session.input_audio_buffer.append", "audio": audio})

    async def close(self) -> None:
        """Have the session closed, and take what still comes."""
        await self.connection.send({"type": "session.close"})
        await self.until("session.closed")

    async def until(self, *types: str) -> dict[str, Any]:
        """Return the next event of one of these types; all before it are kept as well."""
        async with asyncio.timeout(WITHIN_S):
            while True:
                event = await self.connection.recv()
                sent: dict[str, Any] = event.to_dict(mode="json")
                parsed = _EVENTS.validate_python(sent, strict=True)
                assert not parsed.model_extra, sent
                self.log.append(sent)
                if sent["type"] in types:
                    return sent

    def of(self, kind: str) -> list[dict[str, Any]]:
        return [event for event in self.log if event["type"] == f"session.{kind}.delta"]

    def text(self, kind: str) -> str:
        return "".join(event["delta"] for event in self.of(kind))

    @property
    def sound(self) -> bytes:
        return b"".join(base64.b64decode(event["delta"], validate=True) for event in self.of("output_audio"))


@asynccontextmanager
async def interpreting(client: openai.AsyncOpenAI, model: str = MODEL) -> AsyncIterator[Interpreted]:
    """Open a session; what comes first is `session.created`."""
    async with client.realtime.translations.connect(model=model) as connection:
        session = Interpreted(connection)
        await session.until("session.created")
        yield session
    ids = [event["event_id"] for event in session.log]
    assert len(ids) == len(set(ids))


async def test_a_session_tells_its_settings_and_takes_changes(realtime: openai.AsyncOpenAI) -> None:
    async with interpreting(realtime) as session:
        created = session.log[0]["session"]
        assert (created["type"], created["model"]) == ("translation", MODEL)
        assert created["audio"]["output"]["language"] == "en"
        assert created["expires_at"] > time.time() + 600
        updated = await session.update(
            input={"transcription": {"model": "whisper-1"}, "noise_reduction": {"type": "far_field"}}
        )
        wanted = {"transcription": {"model": "whisper-1"}, "noise_reduction": {"type": "far_field"}}
        assert updated["session"] == {**created, "audio": {"input": wanted, "output": {"language": "en"}}}
        again = await session.update(input={"transcription": None, "noise_reduction": None})
        assert again["session"] == created


@pytest.mark.parametrize(
    ("audio", "code", "param"),
    [
        ({"output": {"language": "de"}}, "unsupported_value", "session.audio.output.language"),
        ({"output": {"language": "klingon"}}, "invalid_value", "session.audio.output.language"),
        ({"output": {"voice": "marin"}}, "unknown_parameter", "session.audio.output.voice"),
        ({"input": {"turn_detection": None}}, "unknown_parameter", "session.audio.input.turn_detection"),
        ({"input": {"transcription": {"model": "nobody"}}}, "invalid_value", "session.audio.input.transcription.model"),
    ],
)
async def test_what_cannot_be_changed_is_refused_and_the_session_goes_on(
    realtime: openai.AsyncOpenAI, audio: dict[str, Any], code: str, param: str
) -> None:
    async with interpreting(realtime) as session:
        error = (await session.update(**audio))["error"]
        assert (error["code"], error["param"], error["event_id"]) == (code, param, "mine")
        await session.close()


async def test_events_of_conversations_are_refused(realtime: openai.AsyncOpenAI) -> None:
    async with interpreting(realtime) as session:
        await session.connection.send({"type": "response.create", "event_id": "mine"})
        error = (await session.until("error"))["error"]
        assert (error["param"], error["event_id"]) == ("type", "mine")
        assert "session.close" in error["message"]


async def test_speech_of_one_language_is_heard_in_another_while_it_goes_on(
    realtime: openai.AsyncOpenAI, client: openai.OpenAI, clips: Path
) -> None:
    async with interpreting(realtime) as session:
        await session.update(input={"transcription": {"model": "whisper-1"}})
        recordings = [speech(clips / name) for name in ("fr/comptage.wav", "en/counting.wav")]
        hearing = asyncio.create_task(session.hear(b"".join(part + silence(800) for part in recordings)))
        await session.until("session.output_audio.delta")
        await hearing
        await session.close()
        with pytest.raises(ConnectionClosed) as closed:
            await session.connection.recv()
        assert closed.value.rcvd is not None and closed.value.rcvd.code == 1000
    translated, heard = session.text("output_transcript"), session.of("input_transcript")
    assert word_error_rate(f"{COUNT} {COUNT}", translated) <= 0.3, translated
    assert word_error_rate(COUNT, heard[-1]["delta"]) <= 0.2, "what was said in English is passed on"
    sounds = session.of("output_audio")
    assert all((it["sample_rate"], it["channels"], it["format"]) == (24_000, 1, "pcm16") for it in sounds)
    times = [event["elapsed_ms"] for event in sounds]
    assert times == sorted(times)
    assert loudness(session.sound) > 0.01
    spoken = transcribed(client, session.sound, "pcm16")
    assert misheard(translated, spoken) <= MISHEARD, (translated, spoken)


async def test_closing_flushes_what_was_not_finished(realtime: openai.AsyncOpenAI, clips: Path) -> None:
    async with AsyncTranslationSession(realtime.realtime.translations, model=MODEL) as connection:
        session = Interpreted(connection)
        await session.hear(speech(clips / "ja/konnichiwa_sekai.wav"))
        await session.close()
    assert word_error_rate("Hello world.", session.text("output_transcript")) <= 0.5
    assert session.sound
    assert session.log[-1]["type"] == "session.closed"


async def test_a_secret_opens_the_session_that_it_was_made_for(realtime: openai.AsyncOpenAI, platform: Any) -> None:
    secret = await realtime.realtime.translations.client_secrets.create(
        session={"model": MODEL, "audio": {"input": {"transcription": {"model": "whisper-1"}}}}
    )
    assert secret.value.startswith("ek_")
    assert secret.session.type == "translation"
    async with (
        openai.AsyncOpenAI(
            base_url=platform.base_url,
            websocket_base_url=platform.base_url.replace("http", "ws", 1),
            api_key=secret.value,
        ) as client,
        interpreting(client) as session,
    ):
        assert session.log[0]["session"]["audio"]["input"]["transcription"] == {"model": "whisper-1"}


async def test_a_model_that_does_not_translate_is_refused(realtime: openai.AsyncOpenAI) -> None:
    with contextlib.ExitStack() as stack:
        refused = stack.enter_context(pytest.raises(Exception, match="404"))
        async with realtime.realtime.translations.connect(model="nobody"):
            pass
    assert refused
