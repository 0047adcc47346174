"""What no honest client sends: each gets its answer at once, and the next caller is served as before."""

from __future__ import annotations

import asyncio
import os
import struct
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import openai
import pytest
import redis

from antiphon.bus import Bus
from antiphon.settings import BusSettings
from tests.contract.conftest import Served
from tests.integration.audio.files import FLOAT, encoded, tone, wav, wav16

pytestmark = [pytest.mark.contract, pytest.mark.timeout(300)]

PROMPT_S = 20.0
"""Generous: the machine may be busy with other tests."""


def floats(samples: Any, kind: str) -> bytes:
    return wav(samples.astype(kind).tobytes(), tag=FLOAT, bits=np.dtype(kind).itemsize * 8)


def post(http: httpx.Client, content: bytes, name: str = "audio.wav", **fields: str) -> httpx.Response:
    started = time.monotonic()
    reply = http.post(
        "/v1/audio/transcriptions", data={"model": "whisper-1", **fields}, files={"file": (name, content)}
    )
    assert time.monotonic() - started < PROMPT_S
    return reply


@pytest.fixture(scope="module", autouse=True)
def _recognised_in_the_end(platform: Served, clips: Path) -> Iterator[None]:
    """After all of it the recogniser still recognises."""
    yield
    with httpx.Client(base_url=platform.root_url, headers={"api-key": platform.api_key}, timeout=100) as http:
        reply = post(http, (clips / "en/hello_world.wav").read_bytes())
    assert reply.status_code == 200, reply.text
    assert "world" in reply.json()["text"].lower()


@pytest.fixture(autouse=True)
def _unharmed(platform: Served, http: httpx.Client) -> Iterator[None]:
    """Whatever a test did, the same worker process as before is there and serves."""
    before = workers(platform)
    yield
    reply = post(http, wav16(tone(0.5, 16_000)))
    assert reply.status_code == 200, reply.text
    assert workers(platform) == before


def workers(platform: Served) -> set[bytes]:
    """Return the names of the living transcribers; each holds the number of its process."""
    with redis.Redis.from_url(platform.redis_url) as client:
        names: Any = client.hkeys("workers:{transcribe}")
    return set(names)


HOPELESS = {
    "empty": b"",
    "non-audio": os.urandom(50_000),
    "text": b"To be, or not to be. " * 500,
    "picture": b"\x89PNG\r\n\x1a\n" + bytes(20_000),
    "archive": b"PK\x03\x04" + bytes(20_000),
    "playlist": b"#EXTM3U\n#EXTINF:10,\nhttp://127.0.0.1:9/a.mp3\n",
    "hls": b"#EXTM3U\n#EXT-X-TARGETDURATION:10\n#EXTINF:10,\nfile:///etc/passwd\n#EXT-X-ENDLIST\n",
    "concat": b"ffconcat version 1.0\nfile '/etc/passwd'\n",
    "dash": b'<?xml version="1.0"?><MPD><BaseURL>file:///etc/passwd</BaseURL></MPD>',
    "too short": wav16(tone(0.05, 16_000)),
    "no samples": wav(b""),
    "no bits": wav(bytes(32_000), bits=0, block=2),
    "unknown tag": wav(bytes(32_000), tag=0x4242),
    "no channels": wav(bytes(32_000), channels=0, block=2),
    "no rate": wav(bytes(32_000), rate=0),
    "a head alone": b"RIFF\xff\xff\xff\xffWAVE",
    "broken ogg": b"OggS" + os.urandom(20_000),
    "broken flac": b"fLaC" + os.urandom(20_000),
    "broken mp4": b"\x00\x00\x00\x20ftypM4A " + os.urandom(20_000),
    "broken webm": b"\x1a\x45\xdf\xa3" + os.urandom(20_000),
}


@pytest.mark.parametrize("content", HOPELESS.values(), ids=HOPELESS.keys())
def test_what_is_no_audio_is_the_callers_fault(http: httpx.Client, content: bytes) -> None:
    reply = post(http, content)
    assert reply.status_code == 400, reply.text
    error = reply.json()["error"]
    assert set(error) == {"message", "type", "param", "code"}
    assert error["type"] == "invalid_request_error"
    assert error["param"] == "file"


def test_too_short_is_said_in_the_words_that_clients_match_on(client: openai.OpenAI) -> None:
    with pytest.raises(openai.BadRequestError) as raised:
        client.audio.transcriptions.create(model="whisper-1", file=("a.wav", wav16(tone(0.05, 16_000))))
    assert raised.value.code == "audio_too_short"
    assert raised.value.body == {
        "message": "Audio file is too short. Minimum audio length is 0.1 seconds.",
        "type": "invalid_request_error",
        "param": "file",
        "code": "audio_too_short",
    }


UNUSUAL = {
    "8 channels": wav16(tone(1, 48_000), rate=48_000, channels=8),
    "8 kHz": wav16(tone(1, 8_000), rate=8_000),
    "192 kHz": wav16(tone(1, 192_000), rate=192_000),
    "float64": floats(tone(1, 16_000), "<f8"),
    "not numbers": floats(np.full(16_000, np.nan), "<f4"),
    "infinite": floats(np.full(16_000, np.inf), "<f4"),
    "deafening": floats(tone(1, 16_000) * 1e30, "<f4"),
    "promises gigabytes": wav(bytes(64_000), promised=0xFFFF_FFF0),
    "truncated": wav16(tone(2, 16_000))[:20_000],
    "truncated mp3": encoded(tone(2, 44_100), rate=44_100, muxer="mp3", codec="mp3")[:9_001],
}


@pytest.mark.parametrize("content", UNUSUAL.values(), ids=UNUSUAL.keys())
def test_unusual_audio_is_read_or_refused_but_harms_nobody(http: httpx.Client, content: bytes) -> None:
    reply = post(http, content)
    assert reply.status_code in {200, 400}, reply.text
    if reply.status_code == 400:
        assert reply.json()["error"]["type"] == "invalid_request_error"


def test_the_name_of_a_file_says_nothing(http: httpx.Client, clips: Path) -> None:
    sound = (clips / "en/hello_world.wav").read_bytes()
    for name in ("a.mp3", "a", "a.txt", "../../etc/passwd", "ä.wav"):
        reply = post(http, sound, name)
        assert reply.status_code == 200, reply.text


def test_a_small_file_that_decodes_to_hours_is_refused(http: httpx.Client) -> None:
    hours = encoded(np.zeros(8_000 * 3600 * 6, np.float32), rate=8_000, muxer="flac", codec="flac")
    assert len(hours) < 5_000_000
    reply = post(http, hours)
    assert reply.status_code == 400, reply.text
    assert "longer than" in reply.json()["error"]["message"]


def test_a_body_over_the_limit_is_told_how_large_it_was(client: openai.OpenAI) -> None:
    with pytest.raises(openai.APIStatusError) as raised:
        client.audio.transcriptions.create(model="whisper-1", file=("a.wav", wav(bytes(27_000_000))))
    assert raised.value.status_code == 413
    assert raised.value.type == "server_error"
    assert raised.value.code is None
    assert raised.value.message.count("Maximum content size limit (26214400) exceeded (27000") == 1


def test_a_form_without_its_end_is_refused(http: httpx.Client) -> None:
    reply = http.post(
        "/v1/audio/transcriptions",
        content=b'--x\r\nContent-Disposition: form-data; name="model"\r\n\r\nwhisper-1',
        headers={"content-type": "multipart/form-data; boundary=x"},
    )
    assert reply.status_code == 400
    assert reply.json()["error"]["type"] == "invalid_request_error"


def test_a_body_that_is_no_form_is_refused(http: httpx.Client) -> None:
    assert http.post("/v1/audio/transcriptions", json={"model": "whisper-1"}).status_code == 415
    assert http.post("/v1/audio/transcriptions", content=b"x").status_code == 415
    reply = http.post("/v1/audio/transcriptions", content=b"x", headers={"content-type": "multipart/form-data"})
    assert reply.status_code == 400


@pytest.mark.parametrize(
    "fields",
    [
        {"model": "nobody"},
        {"response_format": "xml"},
        {"response_format": "diarized_json"},
        {"model": "gpt-4o-transcribe-diarize"},
        {"temperature": "2"},
        {"language": "klingon"},
        {"timestamp_granularities[]": "word"},
        {"include[]": "everything"},
        {"chunking_strategy": "{"},
    ],
    ids="-".join,
)
def test_a_wrong_parameter_is_a_prompt_4xx(http: httpx.Client, clips: Path, fields: dict[str, str]) -> None:
    reply = post(http, (clips / "en/hello_world.wav").read_bytes(), **fields)
    assert reply.status_code == (404 if fields.get("model") == "nobody" else 400)
    assert reply.json()["error"]["message"]


def test_aborted_uploads_leave_the_door_open(platform: Any) -> None:
    import socket

    host, _, port = platform.root_url.removeprefix("http://").rpartition(":")
    head = (
        f"POST /v1/audio/transcriptions HTTP/1.1\r\nhost: x\r\napi-key: {platform.api_key}\r\n"
        "content-length: 20000000\r\ncontent-type: multipart/form-data; boundary=x\r\n\r\n"
        '--x\r\nContent-Disposition: form-data; name="file"; filename="a.wav"\r\n\r\n'
    )
    for _ in range(20):
        with socket.create_connection((host, int(port))) as connection:
            connection.sendall(head.encode() + wav(bytes(500_000)))
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


async def test_a_client_that_disconnects_cancels_its_job(platform: Any, reading: Path) -> None:
    sound = reading.read_bytes()
    async with Bus.open(BusSettings(redis_url=platform.redis_url)) as bus:

        async def jobs() -> int:
            lane = (await bus.lanes())["transcribe"]
            return lane.pending + lane.waiting + lane.delayed

        async with httpx.AsyncClient(
            base_url=platform.root_url, headers={"api-key": platform.api_key}, trust_env=False, timeout=60
        ) as client:
            started = time.monotonic()
            whole = await client.post(
                "/v1/audio/transcriptions", data={"model": "whisper-1"}, files={"file": ("a.wav", sound)}
            )
            assert whole.status_code == 200
            takes_s = time.monotonic() - started
            for fields in ({"model": "whisper-1"}, {"model": "gpt-4o-transcribe", "stream": "true"}):
                request = asyncio.create_task(
                    client.post("/v1/audio/transcriptions", data=fields, files={"file": ("a.wav", sound)})
                )
                async with asyncio.timeout(PROMPT_S):
                    while not await jobs():
                        await asyncio.sleep(0.01)
                left = time.monotonic()
                request.cancel()
                async with asyncio.timeout(PROMPT_S):
                    while await jobs():
                        await asyncio.sleep(0.01)
                assert time.monotonic() - left < takes_s / 2
