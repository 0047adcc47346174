from __future__ import annotations

import asyncio
import hashlib
import struct
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest

from antiphon.schemas import Outcome, Transcript

pytestmark = pytest.mark.unit

KEY = "sk-test-0123456789"
URL = "/v1/audio/transcriptions"


def wav(seconds: float = 1.0) -> bytes:
    data = bytes(range(256)) * round(seconds * 125)
    form = struct.pack("<HHIIHH", 1, 1, 16000, 32000, 2, 16)
    chunks = b"fmt " + struct.pack("<I", len(form)) + form + b"data" + struct.pack("<I", len(data)) + data
    return b"RIFF" + struct.pack("<I", 4 + len(chunks)) + b"WAVE" + chunks


async def heard(call: Any) -> None:
    transcript = Transcript(task="transcribe", language="en", duration=1.0, text=" Hi.")
    call.end(Outcome(id=call.job_id, status="completed", result=transcript.model_dump()))


async def test_the_file_reaches_the_worker_as_it_was_sent_and_is_gone_afterwards(door: Any) -> None:
    sound, seen = wav(20), []

    async def read(call: Any) -> None:
        seen.append(await door.platform.blobs.read(call.job.audio))
        await heard(call)

    door.caller.play = read
    reply = await door.client.post(URL, data={"model": "whisper-1"}, files={"file": ("a.bin", sound)})
    assert reply.status_code == 200, reply.text
    assert [hashlib.sha256(each).digest() for each in seen] == [hashlib.sha256(sound).digest()]
    assert door.caller.job.audio.media_type == "audio/wav"
    await door.eventually(lambda: not door.blobs())


async def test_fields_may_come_after_the_file(door: Any) -> None:
    door.caller.play = heard
    files = [("file", ("a.wav", wav())), ("model", (None, "whisper-1")), ("prompt", (None, "Ünïcode"))]
    reply = await door.client.post(URL, files=files)
    assert reply.status_code == 200, reply.text
    assert door.caller.job.options.prompt == "Ünïcode"


async def test_other_files_and_unknown_fields_are_passed_over(door: Any) -> None:
    door.caller.play = heard
    files = [("cover", ("a.png", b"\x89PNG" * 100)), ("model", (None, "whisper-1")), ("file", ("a.wav", wav()))]
    reply = await door.client.post(URL, data={"novelty": "1"}, files=files)
    assert reply.status_code == 200, reply.text


@pytest.mark.parametrize(
    ("content", "code", "message"),
    [
        (b"", "audio_too_short", "Audio file is too short. Minimum audio length is 0.1 seconds."),
        (
            b"#EXTM3U\nhttp://127.0.0.1/a.mp3\n",
            "invalid_value",
            "Invalid file format. Supported formats: "
            "['flac', 'm4a', 'mp3', 'mp4', 'mpeg', 'mpga', 'oga', 'ogg', 'wav', 'webm']",
        ),
        (b"just some text " * 1000, "invalid_value", None),
        (b"%PDF-1.7 " * 1000, "invalid_value", None),
    ],
)
async def test_what_is_no_audio_is_refused_before_anything_is_queued(
    door: Any, content: bytes, code: str, message: str | None
) -> None:
    reply = await door.client.post(URL, data={"model": "whisper-1"}, files={"file": ("speech.mp3", content)})
    assert reply.status_code == 400
    error = reply.json()["error"]
    assert (error["type"], error["param"], error["code"]) == ("invalid_request_error", "file", code)
    assert message is None or error["message"] == message
    assert not door.caller.calls
    assert not door.blobs()


@pytest.mark.parametrize(
    ("data", "files", "param"),
    [
        ({}, {"file": ("a.wav", wav())}, "model"),
        ({"model": ""}, {"file": ("a.wav", wav())}, "model"),
        ({"model": "whisper-1"}, {"other": ("a.wav", wav())}, "file"),
    ],
)
async def test_a_missing_part_is_named(door: Any, data: dict[str, str], files: Any, param: str) -> None:
    reply = await door.client.post(URL, data=data, files=files)
    assert reply.status_code == 400
    assert reply.json()["error"]["code"] == "missing_required_parameter"
    assert reply.json()["error"]["param"] == param
    await door.eventually(lambda: not door.blobs())


async def test_two_files_are_refused_and_leave_no_blob(door: Any) -> None:
    files = [("file", ("a.wav", wav(20))), ("file", ("b.wav", wav(20)))]
    reply = await door.client.post(URL, data={"model": "whisper-1"}, files=files)
    assert reply.status_code == 400
    await door.eventually(lambda: not door.blobs())


@pytest.mark.parametrize(
    ("content_type", "body", "status"),
    [
        ("multipart/form-data", b"--x--", 400),
        ("multipart/form-data; boundary=x", b"", 400),
        ("multipart/form-data; boundary=x", b"hello", 400),
        ("multipart/form-data; boundary=x", b"--x\r\n\r\n\r\n--x--\r\n", 400),
        ("multipart/form-data; boundary=" + "x" * 500, b"--x--", 400),
        ("application/json", b'{"model": "whisper-1"}', 415),
        ("text/plain", b"hello", 415),
        ("", b"hello", 415),
    ],
)
async def test_a_body_that_is_no_form_is_refused(door: Any, content_type: str, body: bytes, status: int) -> None:
    reply = await door.client.post(URL, content=body, headers={"content-type": content_type})
    assert reply.status_code == status
    assert reply.json()["error"]["type"] == "invalid_request_error"


async def test_a_field_that_is_too_large_is_refused(door: Any) -> None:
    files = [("model", (None, "x" * (3 * 2**20))), ("file", ("a.wav", wav()))]
    reply = await door.client.post(URL, files=files)
    assert reply.status_code == 400
    assert reply.json()["error"]["param"] == "model"


async def test_a_field_that_is_no_text_is_refused(door: Any) -> None:
    reply = await door.client.post(URL, files=[("model", (None, b"\xff\xfe")), ("file", ("a.wav", wav()))])
    assert reply.status_code == 400
    assert reply.json()["error"]["param"] == "model"


async def test_a_declared_length_over_the_limit_is_refused_before_the_body(open_door: Any) -> None:
    async with open_door(max_upload_bytes=100_000) as door:
        reader, writer = await asyncio.open_connection("127.0.0.1", door.port)
        head = f"POST {URL} HTTP/1.1\r\nhost: x\r\napi-key: {KEY}\r\ncontent-length: 100001\r\n"
        writer.write(head.encode() + b"content-type: multipart/form-data; boundary=x\r\n\r\n")
        async with asyncio.timeout(5):
            answer = await reader.readuntil(b"}}")
        writer.close()
        assert answer.startswith(b"HTTP/1.1 413 ")
        assert b'"Maximum content size limit (100000) exceeded (100001 bytes read)"' in answer
        assert b'"type":"server_error","param":null,"code":null' in answer


async def test_a_body_that_grows_over_the_limit_is_refused_and_read_away(open_door: Any) -> None:
    async def body() -> AsyncIterator[bytes]:
        yield b'--x\r\nContent-Disposition: form-data; name="file"; filename="a.wav"\r\n\r\n' + wav(1)
        for _ in range(200):
            yield b"\0" * 65_536

    async with open_door(max_upload_bytes=1_000_000) as door:
        reply = await door.client.post(URL, content=body(), headers={"content-type": "multipart/form-data; boundary=x"})
        assert reply.status_code == 413
        assert reply.json()["error"]["message"].startswith("Maximum content size limit (1000000) exceeded (1")
        await door.eventually(lambda: not door.blobs())


@pytest.mark.parametrize("headers", [{}, {"authorization": "Bearer sk-wrong"}, {"api-key": "sk-wrong"}])
async def test_a_bad_key_is_refused_while_the_body_is_still_to_come(door: Any, headers: dict[str, str]) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", door.port)
    lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
    writer.write(
        f"POST {URL} HTTP/1.1\r\nhost: x\r\n{lines}content-length: 20000000\r\n".encode()
        + b"content-type: multipart/form-data; boundary=x\r\n\r\n"
    )
    async with asyncio.timeout(5):
        answer = await reader.readuntil(b"}}")
    writer.close()
    assert answer.startswith(b"HTTP/1.1 401 ")
    assert b'"code":"invalid_api_key"' in answer


async def test_who_sends_all_of_a_large_body_with_a_bad_key_still_reads_the_refusal(door: Any) -> None:
    async with httpx.AsyncClient(base_url=door.url, trust_env=False) as client:
        for _ in range(3):
            reply = await client.post(
                URL, data={"model": "whisper-1"}, files={"file": ("a.wav", wav(600))}, headers={"api-key": "no"}
            )
            assert reply.status_code == 401


async def test_an_upload_that_is_aborted_leaves_nothing(door: Any) -> None:
    _, writer = await asyncio.open_connection("127.0.0.1", door.port)
    part = b'--x\r\nContent-Disposition: form-data; name="file"; filename="a.wav"\r\n\r\n' + wav(300)
    writer.write(
        f"POST {URL} HTTP/1.1\r\nhost: x\r\napi-key: {KEY}\r\ncontent-length: 20000000\r\n".encode()
        + b"content-type: multipart/form-data; boundary=x\r\n\r\n"
        + part
    )
    await writer.drain()
    await door.eventually(lambda: bool(door.blobs()) or any(door.folder.rglob("*#*")))
    writer.transport.abort()
    await door.eventually(lambda: not door.blobs())
    assert not door.caller.calls


async def test_the_next_request_on_the_connection_is_served_after_a_refusal(door: Any) -> None:
    door.caller.play = heard
    refused = await door.client.post(URL, data={"model": "nobody"}, files={"file": ("a.wav", wav(100))})
    assert refused.status_code == 404
    served = await door.client.post(URL, data={"model": "whisper-1"}, files={"file": ("a.wav", wav())})
    assert served.status_code == 200
