"""Models that hear and speak themselves."""

from __future__ import annotations

import base64
import io
import math
import wave

import numpy as np
import pytest

from antiphon.audio.encode import Encoder
from antiphon.errors import InvalidAudio
from antiphon.schemas import AudioPart, BlobRef, Message, TextPart
from antiphon.schemas.jobs import AudioFormat
from services.responder.engines import Prompt, SoundPiece
from tests.upstream import serving
from tests.upstream.asking import hear, opened, say, text_of

pytestmark = pytest.mark.integration


def tone(format: AudioFormat, *, seconds: float = 1.5) -> bytes:
    """Return a file with a tone in it."""
    encoder = Encoder(format, 24_000)
    times = np.arange(round(seconds * 24_000)) / 24_000
    samples = (0.3 * np.sin(2 * math.pi * 440 * times)).astype(np.float32)
    return encoder.feed(samples) + encoder.finish()


def told(*recordings: bytes, text: str = "") -> Prompt:
    """Return a message with recordings in it."""
    parts = [AudioPart(audio=BlobRef(uri=f"redis:{at}"), transcript="Heard.") for at in range(len(recordings))]
    words = [TextPart(text=text)] if text else []
    return Prompt(
        messages=(Message(role="user", content=(*parts, *words)),),
        recordings={f"redis:{at}": recording for at, recording in enumerate(recordings)},
    )


@pytest.mark.parametrize(
    ("format", "sent_as"), [("wav", "wav"), ("mp3", "mp3"), ("opus", "wav"), ("flac", "wav"), ("aac", "wav")]
)
async def test_every_recording_is_heard_for_as_long_as_it_is(format: AudioFormat, sent_as: str) -> None:
    recording = tone(format)
    async with serving() as server, opened(server.base_url, hears=True) as upstream:
        said = text_of(await hear(upstream, told(recording)))
        [part] = server.last.body["messages"][0]["content"]
    assert said.startswith("I heard 1.") and said.endswith(f" seconds of {sent_as}.")
    assert 1.4 <= float(said.split()[2]) <= 1.65
    if sent_as == format:
        assert base64.b64decode(part["input_audio"]["data"]) == recording
    else:
        with wave.open(io.BytesIO(base64.b64decode(part["input_audio"]["data"]))) as sent:
            assert (sent.getframerate(), sent.getnchannels(), sent.getsampwidth()) == (16_000, 1, 2)


async def test_several_recordings_and_words_go_together() -> None:
    async with serving() as server, opened(server.base_url, hears=True) as upstream:
        prompt = told(tone("wav"), tone("wav", seconds=0.5), text="What is it?")
        said = text_of(await hear(upstream, prompt))
    assert said == "I heard 1.5 seconds of wav. I heard 0.5 seconds of wav. You said: What is it?"


async def test_a_model_that_does_not_hear_reads_the_transcript() -> None:
    async with serving() as server, opened(server.base_url) as upstream:
        assert text_of(await hear(upstream, told(tone("wav")))) == "You said: Heard."


@pytest.mark.parametrize("recording", [b"", b"not sound at all" * 100, b"OggS" + bytes(4000)])
async def test_a_recording_that_is_none_is_the_callers_mistake(recording: bytes) -> None:
    async with serving() as server, opened(server.base_url, hears=True) as upstream:
        with pytest.raises(InvalidAudio) as caught:
            await hear(upstream, told(recording))
        assert server.asked == []
    assert (caught.value.http_status, caught.value.param) == (400, "messages")


@pytest.mark.parametrize("style", ["echo", "style-bytes", "style-json"])
async def test_a_model_that_speaks_is_heard_and_read(style: str) -> None:
    async with serving() as server, opened(server.base_url, style, speaks=True) as upstream:
        pieces = await hear(upstream, say("Good day.", voice="alloy"))
        asked = server.last.body
    assert (asked["modalities"], asked["audio"]) == (["text", "audio"], {"voice": "alloy", "format": "pcm16"})
    assert text_of(pieces) == "You said: Good day."
    sound = [piece.pcm for piece in pieces if isinstance(piece, SoundPiece)]
    samples = np.frombuffer(b"".join(sound), dtype="<i2")
    assert samples.size == 4 * 0.06 * 24_000
    assert 8_000 < np.abs(samples).max() < 9_500


async def test_without_a_voice_nothing_is_spoken() -> None:
    async with serving() as server, opened(server.base_url, speaks=True) as upstream:
        pieces = await hear(upstream)
    assert not any(isinstance(piece, SoundPiece) for piece in pieces)
