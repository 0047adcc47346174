"""A live session with the platform, held through the official client."""

from __future__ import annotations

import asyncio
from base64 import b64encode
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit

from openai import OpenAIError
from websockets.exceptions import ConnectionClosed, InvalidHandshake, InvalidStatus

from antiphon.cli.connection import LOOPBACK, describe_refusal
from antiphon.cli.failure import CommandFailed

if TYPE_CHECKING:
    from openai import AsyncOpenAI
    from openai.resources.realtime.realtime import AsyncRealtimeConnection
    from openai.types.realtime import (
        RealtimeServerEvent,
        RealtimeSessionCreateRequest,
        RealtimeSessionCreateRequestParam,
    )

SAMPLE_RATE: Final = 24_000
BYTES_PER_MS = SAMPLE_RATE * 2 // 1000
FRAME_MS = 40
"""How much sound is sent at a time."""
_SILENCE_MS = 500
"""Long enough for the pauses within a sentence."""
_FIRST_WORD_S = 30.0


@dataclass(frozen=True)
class LineOptions:
    """What the session is to be."""

    model: str = "gpt-realtime"
    voice: str = "marin"
    instructions: str | None = None
    transcriber: str = "whisper-1"
    """What writes down the turns of the one who talks."""

    def session(self) -> RealtimeSessionCreateRequestParam:
        """Return the session object."""
        session: RealtimeSessionCreateRequestParam = {
            "type": "realtime",
            "output_modalities": ["audio"],
            "audio": {
                "input": {
                    "format": {"type": "audio/pcm", "rate": SAMPLE_RATE},
                    "transcription": {"model": self.transcriber},
                    "turn_detection": {"type": "server_vad", "silence_duration_ms": _SILENCE_MS},
                },
                "output": {"format": {"type": "audio/pcm", "rate": SAMPLE_RATE}, "voice": self.voice},
            },
        }
        if self.instructions is not None:
            session["instructions"] = self.instructions
        return session


class Line:
    """An open session. Every method raises `CommandFailed` when the connection is gone."""

    def __init__(self, connection: AsyncRealtimeConnection, *, silence_ms: int) -> None:
        self._connection = connection
        self.silence_ms = silence_ms
        """How long the platform waits before it takes silence for the end of a turn."""

    async def append(self, pcm: bytes) -> None:
        """Send sound: 16 bit, little-endian, mono, 24 kHz."""
        with _telling_why():
            await self._connection.input_audio_buffer.append(audio=b64encode(pcm).decode("ascii"))

    async def truncate(self, item_id: str, *, played_ms: int) -> None:
        """Tell how much of an answer was heard before it was interrupted."""
        with _telling_why():
            await self._connection.conversation.item.truncate(item_id=item_id, content_index=0, audio_end_ms=played_ms)

    async def events(self) -> AsyncIterator[RealtimeServerEvent]:
        """Yield what comes, for as long as the platform keeps the session."""
        with _telling_why():
            async for event in self._connection:
                yield event
        raise CommandFailed("the platform has ended the conversation")


@asynccontextmanager
async def open_line(client: AsyncOpenAI, options: LineOptions) -> AsyncIterator[Line]:
    """Open a session that is as `options` say. Raises `CommandFailed` when it cannot be had."""
    base_url = str(client.base_url)
    # A proxy from the environment cannot reach this machine's own loopback.
    direct: Any = {"proxy": None} if urlsplit(base_url).hostname in LOOPBACK else {}
    with _telling_why(base_url):
        manager = client.realtime.connect(model=options.model, websocket_connection_options=direct)
        connection = await manager.enter()
    try:
        with _telling_why():
            session = await _configure(connection, options)
        yield Line(connection, silence_ms=_silence_ms(session))
    finally:
        await connection.close()


async def _configure(connection: AsyncRealtimeConnection, options: LineOptions) -> RealtimeSessionCreateRequest:
    try:
        async with asyncio.timeout(_FIRST_WORD_S):
            async for event in connection:
                if event.type == "session.created":
                    await connection.session.update(session=options.session())
                elif event.type == "session.updated" and event.session.type == "realtime":
                    return event.session
                elif event.type == "error":
                    raise CommandFailed(event.error.message)
    except TimeoutError:
        pass
    raise CommandFailed("the platform accepts the connection, and begins no session")


def _silence_ms(session: RealtimeSessionCreateRequest) -> int:
    given = session.audio.input if session.audio is not None else None
    detection = given.turn_detection if given is not None else None
    return (detection.silence_duration_ms or 0) if detection is not None and detection.type == "server_vad" else 0


@contextmanager
def _telling_why(base_url: str | None = None) -> Iterator[None]:
    """Turn what can go wrong with a connection into one line."""
    try:
        yield
    except InvalidStatus as error:
        raise CommandFailed(describe_refusal(error.response.status_code, error.response.body or b"")) from None
    except ConnectionClosed as error:
        reason = error.rcvd.reason if error.rcvd is not None else ""
        raise CommandFailed(f"the connection broke off ({reason or 'no reason given'})") from None
    except (InvalidHandshake, OSError, OpenAIError) as error:
        if base_url is None:
            raise CommandFailed(f"the connection broke off ({error})") from None
        raise CommandFailed(
            f"no conversation can be had at {base_url}: start it with `antiphon up`, or set ANTIPHON_BASE_URL"
        ) from None
