from __future__ import annotations

import asyncio
import base64
from typing import Any

import httpx
import orjson
import pytest

from antiphon.schemas import Delta, ErrorInfo, Outcome, Speech, TokenLogprob, Transcript

pytestmark = pytest.mark.unit

KEY = "sk-test-0123456789"
WAV = b"RIFF\x24\x00\x00\x00WAVEfmt " + b"\0" * 4096
UPLOAD: dict[str, Any] = {"files": {"file": ("a.wav", WAV)}}
STREAMED: dict[str, Any] = {"data": {"model": "gpt-4o-transcribe", "stream": "true"}, **UPLOAD}
WHOLE: dict[str, Any] = {"data": {"model": "whisper-1"}, **UPLOAD}
SPEECH = {"model": "gpt-4o-mini-tts", "input": "Hi.", "voice": "alloy"}
BROKEN = ErrorInfo(
    message="Not audio.", type="invalid_request_error", param="file", code="invalid_value", http_status=400
)


def completed(call: Any, text: str = " Hello there.") -> None:
    transcript = Transcript(task="transcribe", language="en", duration=1.5, text=text, output_tokens=3)
    call.end(Outcome(id=call.job_id, status="completed", result=transcript.model_dump()))


def spoken(call: Any) -> None:
    speech = Speech(media_type="audio/mpeg", sample_rate=24000, duration=1, size=3, input_tokens=4, output_tokens=40)
    call.end(Outcome(id=call.job_id, status="completed", result=speech.model_dump()))


def failed(call: Any, error: ErrorInfo = BROKEN) -> None:
    call.end(Outcome(id=call.job_id, status="failed", error=error))


def events_of(body: str) -> list[dict[str, Any]]:
    frames = [frame for frame in body.strip().split("\n\n") if frame.startswith("data: ")]
    assert frames[-1] == "data: [DONE]"
    return [orjson.loads(frame[len("data: ") :]) for frame in frames[:-1]]


async def test_deltas_arrive_before_the_job_has_ended(door: Any) -> None:
    go_on = asyncio.Event()

    async def work(call: Any) -> None:
        call.emit("delta", Delta(delta=" Hello"))
        await go_on.wait()
        call.emit("delta", Delta(delta=" there."))
        completed(call)

    door.caller.play = work
    lines = []
    async with door.client.stream("POST", "/v1/audio/transcriptions", **STREAMED) as reply:
        assert reply.status_code == 200
        assert reply.headers["content-type"] == "text/event-stream"
        async for line in reply.aiter_lines():
            lines.append(line)
            go_on.set()
    events = events_of("\n".join(lines))
    assert [event["type"] for event in events] == ["transcript.text.delta"] * 2 + ["transcript.text.done"]
    assert [event.get("delta") for event in events] == ["Hello", " there.", None]
    assert events[-1]["text"] == "Hello there."
    assert events[-1]["usage"]["total_tokens"] == 18


async def test_text_repeated_by_a_second_attempt_is_sent_once(door: Any) -> None:
    async def work(call: Any) -> None:
        call.emit("delta", Delta(delta=" Hello"))
        call.emit("reset", b"{}")
        call.emit("delta", Delta(delta=" Hel"))
        call.emit("delta", Delta(delta="lo there."))
        completed(call)

    door.caller.play = work
    events = events_of((await door.client.post("/v1/audio/transcriptions", **STREAMED)).text)
    assert [event["delta"] for event in events[:-1]] == ["Hello", " there."]


async def test_log_probabilities_come_with_their_deltas(door: Any) -> None:
    token = TokenLogprob(token=" Hi", logprob=-0.5, bytes=(32, 72, 105))

    async def work(call: Any) -> None:
        assert call.job.options.logprobs
        call.emit("delta", Delta(delta=" Hi", logprobs=(token,)))
        transcript = Transcript(task="transcribe", language="en", duration=1, text=" Hi", logprobs=(token,))
        call.end(Outcome(id=call.job_id, status="completed", result=transcript.model_dump()))

    door.caller.play = work
    form = {"data": {**STREAMED["data"], "include[]": "logprobs"}, **UPLOAD}
    delta, done = events_of((await door.client.post("/v1/audio/transcriptions", **form)).text)
    assert delta["logprobs"] == done["logprobs"] == [{"token": " Hi", "logprob": -0.5, "bytes": [32, 72, 105]}]


async def test_whisper_answers_in_one_piece_though_a_stream_was_asked_for(door: Any) -> None:
    async def work(call: Any) -> None:
        assert not call.job.stream
        completed(call)

    door.caller.play = work
    form = {"data": {"model": "whisper-1", "stream": "true"}, **UPLOAD}
    reply = await door.client.post("/v1/audio/transcriptions", **form)
    assert reply.json() == {"text": "Hello there.", "usage": {"type": "duration", "seconds": 2}}


async def test_while_nothing_happens_a_comment_keeps_the_stream_alive(open_door: Any) -> None:
    async with open_door(ping="PT0.02S") as door:
        pinged = asyncio.Event()

        async def work(call: Any) -> None:
            await pinged.wait()
            completed(call)

        door.caller.play = work
        lines = []
        async with door.client.stream("POST", "/v1/audio/transcriptions", **STREAMED) as reply:
            async for line in reply.aiter_lines():
                lines.append(line)
                if lines.count(": ping") == 2:
                    pinged.set()
        assert events_of("\n".join(line for line in lines if line != ": ping").lstrip())[-1]["text"] == "Hello there."


async def test_what_fails_before_the_first_event_has_its_own_status(door: Any) -> None:
    async def work(call: Any) -> None:
        failed(call)

    door.caller.play = work
    for url, body in (
        ("/v1/audio/transcriptions", STREAMED),
        ("/v1/audio/transcriptions", WHOLE),
        ("/v1/audio/speech", {"json": SPEECH}),
        ("/v1/audio/speech", {"json": SPEECH | {"stream_format": "sse"}}),
    ):
        reply = await door.client.post(url, **body)
        assert reply.status_code == 400
        assert reply.json()["error"] == BROKEN.model_dump(include={"message", "type", "param", "code"})


async def test_what_fails_later_is_an_event_and_no_done_follows(door: Any) -> None:
    async def work(call: Any) -> None:
        call.emit("delta", Delta(delta=" Hello"))
        failed(call)

    door.caller.play = work
    body = (await door.client.post("/v1/audio/transcriptions", **STREAMED)).text
    assert '"error":{"message":"Not audio."' in body
    assert "[DONE]" not in body


async def test_a_second_attempt_that_contradicts_the_first_is_an_error(door: Any) -> None:
    async def work(call: Any) -> None:
        call.emit("delta", Delta(delta=" Hello there"))
        call.emit("reset", b"{}")
        call.emit("delta", Delta(delta=" Yellow bear"))

    door.caller.play = work
    body = (await door.client.post("/v1/audio/transcriptions", **STREAMED)).text
    assert '"error":' in body
    async with asyncio.timeout(5):
        await door.caller.calls[0].cancelled.wait()


@pytest.mark.parametrize(
    ("audio_format", "media_type"),
    [
        ("mp3", "audio/mpeg"),
        ("opus", "audio/ogg"),
        ("aac", "audio/aac"),
        ("flac", "audio/flac"),
        ("wav", "audio/wav"),
        ("pcm", "audio/pcm"),
    ],
)
async def test_audio_is_sent_as_it_is_made(door: Any, audio_format: str, media_type: str) -> None:
    heard = asyncio.Event()

    async def work(call: Any) -> None:
        call.emit("audio", b"first")
        await heard.wait()
        call.emit("audio", b"second")
        spoken(call)

    door.caller.play = work
    pieces = []
    async with door.client.stream("POST", "/v1/audio/speech", json=SPEECH | {"response_format": audio_format}) as reply:
        assert reply.headers["content-type"] == media_type
        assert reply.headers["transfer-encoding"] == "chunked"
        async for piece in reply.aiter_raw():
            pieces.append(piece)
            heard.set()
    assert pieces == [b"first", b"second"]


async def test_audio_as_events_is_the_same_bytes_in_base64(door: Any) -> None:
    async def work(call: Any) -> None:
        call.emit("audio", b"ID3\x00")
        call.emit("audio", b"\xff\xfb")
        spoken(call)

    door.caller.play = work
    reply = await door.client.post("/v1/audio/speech", json=SPEECH | {"stream_format": "sse"})
    *deltas, done = events_of(reply.text)
    assert b"".join(base64.b64decode(event["audio"]) for event in deltas) == b"ID3\x00\xff\xfb"
    assert done == {
        "type": "speech.audio.done",
        "usage": {"input_tokens": 4, "output_tokens": 40, "total_tokens": 44},
    }


async def test_audio_that_cannot_be_continued_is_broken_off_visibly(door: Any) -> None:
    async def say_otherwise(call: Any) -> None:
        call.emit("audio", b"first")
        call.emit("reset", b"{}")
        call.emit("audio", b"fiend and last")
        spoken(call)

    async def say_less(call: Any) -> None:
        call.emit("audio", b"first")
        call.emit("reset", b"{}")
        call.emit("audio", b"fir")
        spoken(call)

    async def fail(call: Any) -> None:
        call.emit("audio", b"first")
        failed(call)

    for play in (say_otherwise, say_less, fail):
        door.caller.play = play
        with pytest.raises(httpx.RemoteProtocolError):
            await door.client.post("/v1/audio/speech", json=SPEECH)
        events = await door.client.post("/v1/audio/speech", json=SPEECH | {"stream_format": "sse"})
        slice_, last = events.text.strip().split("\n\n")
        assert base64.b64encode(b"first").decode() in slice_
        assert last.startswith('data: {"error":')


async def test_another_worker_goes_on_where_the_audio_of_a_lost_one_ends(door: Any) -> None:
    async def work(call: Any) -> None:
        call.emit("audio", b"first")
        for pieces in ((b"f", b"i"), (b"fir", b"st", b" and "), (b"first and last",)):
            call.emit("reset", b"{}")
            for piece in pieces:
                call.emit("audio", piece)
        spoken(call)

    door.caller.play = work
    assert (await door.client.post("/v1/audio/speech", json=SPEECH)).content == b"first and last"
    reply = await door.client.post("/v1/audio/speech", json=SPEECH | {"stream_format": "sse"})
    *deltas, _ = events_of(reply.text)
    assert b"".join(base64.b64decode(event["audio"]) for event in deltas) == b"first and last"


async def test_a_worker_lost_before_the_first_byte_is_not_noticed(door: Any) -> None:
    async def work(call: Any) -> None:
        call.emit("reset", b"{}")
        call.emit("audio", b"all")
        spoken(call)

    door.caller.play = work
    assert (await door.client.post("/v1/audio/speech", json=SPEECH)).content == b"all"
    events = await door.client.post("/v1/audio/speech", json=SPEECH | {"stream_format": "sse"})
    assert len(events_of(events.text)) == 2


@pytest.mark.parametrize(
    ("url", "body"),
    [
        ("/v1/audio/transcriptions", WHOLE),
        ("/v1/audio/transcriptions", STREAMED),
        ("/v1/audio/translations", WHOLE),
        ("/v1/audio/speech", {"json": SPEECH}),
    ],
)
async def test_a_client_that_leaves_while_it_waits_cancels_its_job(door: Any, url: str, body: dict[str, Any]) -> None:
    request = asyncio.create_task(door.client.post(url, **body))
    async with asyncio.timeout(5):
        await door.caller.submitted.wait()
        request.cancel()
        await door.caller.calls[0].cancelled.wait()
    await door.eventually(lambda: not door.blobs())


async def test_a_client_that_leaves_in_mid_stream_cancels_its_job(door: Any) -> None:
    async def work(call: Any) -> None:
        call.emit("delta", Delta(delta=" Hello"))

    door.caller.play = work
    async with door.client.stream("POST", "/v1/audio/transcriptions", **STREAMED) as reply:
        await anext(reply.aiter_lines())
    async with asyncio.timeout(5):
        await door.caller.calls[0].cancelled.wait()
    await door.eventually(lambda: not door.blobs())


async def test_a_job_that_has_ended_is_not_cancelled(door: Any) -> None:
    async def work(call: Any) -> None:
        completed(call)

    door.caller.play = work
    await door.client.post("/v1/audio/transcriptions", **WHOLE)
    await door.client.post("/v1/audio/transcriptions", **STREAMED)
    await door.eventually(lambda: not door.blobs())
    assert not any(call.cancelled.is_set() for call in door.caller.calls)


@pytest.mark.parametrize(("url", "body"), [("/v1/audio/transcriptions", WHOLE), ("/v1/audio/speech", {"json": SPEECH})])
async def test_a_job_that_nobody_finishes_ends_as_504(open_door: Any, url: str, body: dict[str, Any]) -> None:
    async with open_door(request_timeout=0) as door:
        reply = await door.client.post(url, **body)
        assert (reply.status_code, reply.json()["error"]["code"]) == (504, "deadline_exceeded")
        assert reply.headers["x-should-retry"] == "false"
        async with asyncio.timeout(5):
            await door.caller.calls[0].cancelled.wait()


@pytest.mark.parametrize(("url", "body"), [("/v1/audio/transcriptions", WHOLE), ("/v1/audio/speech", {"json": SPEECH})])
async def test_a_lane_without_workers_refuses_at_once(door: Any, url: str, body: dict[str, Any]) -> None:
    door.bus.workers.clear()
    reply = await door.client.post(url, **body)
    assert (reply.status_code, reply.json()["error"]["code"]) == (503, "service_unavailable")
    assert reply.headers["retry-after"] == "10"
    assert door.caller.calls == []
    await door.eventually(lambda: not door.blobs())


@pytest.mark.parametrize(("status", "expected"), [("expired", 504), ("cancelled", 499)])
async def test_a_job_ended_by_somebody_else_says_so(door: Any, status: str, expected: int) -> None:
    async def work(call: Any) -> None:
        call.end(Outcome(id=call.job_id, status=status))

    door.caller.play = work
    assert (await door.client.post("/v1/audio/transcriptions", **WHOLE)).status_code == expected


async def test_requests_that_run_are_finished_after_the_order_to_stop(open_door: Any) -> None:
    async with open_door() as door:
        request = asyncio.create_task(door.client.post("/v1/audio/transcriptions", **WHOLE))
        async with asyncio.timeout(5):
            await door.caller.submitted.wait()

        asyncio.get_running_loop().call_later(0.2, lambda: completed(door.caller.calls[0]))
        door.stop.set()
        assert (await request).status_code == 200
