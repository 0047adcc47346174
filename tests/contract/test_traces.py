"""One request is one tree of spans, from the caller's own down to the engines; so is one turn of a live session."""

from __future__ import annotations

import base64
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import openai
import pytest

from tests.bench.clips import told_anew
from tests.contract.chat_models import ECHO, LOCAL
from tests.contract.chat_talk import records, says, seconds_of, voiced
from tests.contract.chat_upstream import ScriptedUpstream
from tests.contract.collector import Collector, Trace
from tests.contract.realtime_client import talking
from tests.contract.realtime_models import ECHO as TALKER
from tests.contract.realtime_sounds import speech, spoken_turn
from tests.contract.receiver import receiving

pytestmark = [pytest.mark.contract, pytest.mark.timeout(120)]

VAD = {"type": "server_vad", "silence_duration_ms": 500}


@dataclass(frozen=True)
class Caller:
    """The span of a client that asks."""

    trace_id: str
    span_id: str

    @property
    def headers(self) -> dict[str, str]:
        """What it sends along."""
        return {"traceparent": f"00-{self.trace_id}-{self.span_id}-01"}


@pytest.fixture
def caller() -> Caller:
    return Caller(secrets.token_hex(16), secrets.token_hex(8))


def test_a_transcription_is_one_tree_from_the_callers_span_to_the_engine(
    client: openai.OpenAI, clips: Path, collector: Collector, caller: Caller
) -> None:
    with (clips / "en" / "hello_world.wav").open("rb") as file:
        client.audio.transcriptions.create(model="my whisper", file=file, extra_headers=caller.headers)
    process = "POST /v1/audio/transcriptions > transcribe publish > transcribe process"
    trace = collector.await_paths(
        caller.trace_id, process, f"{process} > fetch", f"{process} > decode", f"{process} > recognise"
    )
    assert len(trace.spans) == 6
    (door,) = trace.roots
    assert (door.parent_id, door.kind, door.service) == (caller.span_id, "SERVER", "antiphon-ingest")
    assert door.attributes["http.response.status_code"] == 200
    assert (trace.one("transcribe publish").kind, trace.one("transcribe process").kind) == ("PRODUCER", "CONSUMER")
    assert trace.one("transcribe process").service == "antiphon-transcriber"
    recognise = trace.one("recognise").attributes
    assert recognise["gen_ai.operation.name"] == "transcribe"
    assert (recognise["gen_ai.request.model"], recognise["gen_ai.response.model"]) == ("my whisper", "whisper-base")
    assert recognise["antiphon.audio.duration_s"] == pytest.approx(1.143, abs=0.01)
    assert recognise["antiphon.priority"] == "std"
    assert recognise["antiphon.busy_s"] > 0
    assert not any(span.failed for span in trace.spans)


def test_a_refusal_by_a_worker_is_told_by_its_kind_alone(
    http: httpx.Client, collector: Collector, caller: Caller
) -> None:
    reply = http.post(
        "/v1/audio/transcriptions",
        data={"model": "whisper-1"},
        files={"file": ("a.wav", b"RIFF\x24\x00\x00\x00WAVEfmt " + bytes(64))},
        headers=caller.headers,
    )
    assert reply.status_code == 400
    process = "POST /v1/audio/transcriptions > transcribe publish > transcribe process"
    trace = collector.await_paths(caller.trace_id, process, f"{process} > decode")
    assert trace.one("decode").attributes["error.type"] == "InvalidAudio"
    assert not trace.one("POST /v1/audio/transcriptions").failed, "the fault is the caller's"


def test_a_chat_that_hears_and_speaks_is_one_tree_that_goes_on_at_the_server_behind_it(
    http: httpx.Client, upstream: ScriptedUpstream, clips: Path, collector: Collector, caller: Caller
) -> None:
    sound = told_anew((clips / "en" / "hello_world.wav").read_bytes())
    asked = {"model": ECHO, "messages": [records(sound, "wav", "Echo, Juniper.")], "max_completion_tokens": 40}
    reply = http.post("/v1/chat/completions", json={**asked, **voiced("wav")}, headers=caller.headers)
    assert reply.status_code == 200, reply.text
    door = "POST /v1/chat/completions"
    chat = f"{door} > respond publish > respond process > chat {ECHO}"
    speaking = f"{door} > synthesize publish > synthesize process"
    trace = collector.await_paths(
        caller.trace_id,
        f"{door} > transcribe publish > transcribe process > recognise",
        f"{chat} > POST",
        *(f"{speaking} > {stage}" for stage in ("prepare", "synthesize", "encode")),
    )
    assert trace.roots[0].parent_id == caller.span_id
    answer = trace.one(f"chat {ECHO}")
    assert answer.kind == "CLIENT"
    about = answer.attributes
    assert (about["gen_ai.operation.name"], about["gen_ai.provider.name"]) == ("chat", "openai")
    assert (about["gen_ai.request.model"], about["gen_ai.response.model"]) == (ECHO, ECHO)
    assert about["gen_ai.request.max_tokens"] == 40
    assert about["gen_ai.response.finish_reasons"] == ["stop"]
    usage = reply.json()["usage"]
    assert about["gen_ai.usage.output_tokens"] == usage["completion_tokens_details"]["text_tokens"]
    post = trace.one("POST")
    assert (post.kind, post.attributes["http.response.status_code"]) == ("CLIENT", 200)
    assert post.attributes["server.address"] == "127.0.0.1"
    assert f":{post.attributes['server.port']}/" in upstream.base_url
    (asked_upstream,) = upstream.asked("Echo, Juniper.")
    assert asked_upstream["headers"]["traceparent"] == f"00-{caller.trace_id}-{post.span_id}-01"
    spoken_s = sum(span.attributes["antiphon.audio.duration_s"] for span in trace.named("synthesize"))
    sound = base64.b64decode(reply.json()["choices"][0]["message"]["audio"]["data"])
    assert spoken_s == pytest.approx(seconds_of(sound, "wav"), abs=0.5), "but for the pauses in between"


def test_an_answer_of_a_model_of_our_own_tells_its_tokens(
    client: openai.OpenAI, collector: Collector, caller: Caller
) -> None:
    question: Any = says("Hi.")
    reply = client.chat.completions.create(
        model=LOCAL, messages=[question], max_tokens=4, temperature=0.5, extra_headers=caller.headers
    )
    assert reply.usage is not None
    chat = f"POST /v1/chat/completions > respond publish > respond process > chat {LOCAL}"
    answer = collector.await_paths(caller.trace_id, chat).one(f"chat {LOCAL}")
    assert (answer.kind, answer.attributes["gen_ai.provider.name"]) == ("INTERNAL", "llama")
    assert answer.attributes["gen_ai.request.temperature"] == 0.5
    assert answer.attributes["gen_ai.usage.input_tokens"] == reply.usage.prompt_tokens
    assert answer.attributes["gen_ai.usage.output_tokens"] == reply.usage.completion_tokens
    assert answer.attributes["antiphon.first_token_s"] > 0


async def test_a_turn_of_a_live_session_is_one_tree_linked_to_the_session(
    realtime: openai.AsyncOpenAI, upstream: ScriptedUpstream, clips: Path, collector: Collector, caller: Caller
) -> None:
    sound = spoken_turn(clips / "en" / "hello_world.wav")
    async with talking(realtime, TALKER, headers=caller.headers) as talk:
        session_id = (await talk.until("session.created"))["session"]["id"]
        transcription = {"model": "whisper-1", "language": "en"}
        await talk.update(audio={"input": {"transcription": transcription, "turn_detection": VAD}})
        await talk.hear(sound)
        done = (await talk.until("response.done"))["response"]
        item_id = talk.of("input_audio_buffer.committed")[0]["item_id"]
        assert done["status"] == "completed"
    session = collector.await_paths(caller.trace_id, "GET /v1/realtime > realtime publish > realtime process")
    assert session.roots[0].parent_id == caller.span_id
    held = session.one("realtime process")
    assert held.attributes["gen_ai.conversation.id"] == session_id
    (turn,) = collector.await_spans(1, "realtime turn", gen_ai__conversation__id=session_id)
    assert turn.trace_id != caller.trace_id
    assert turn.links == ((caller.trace_id, held.span_id),)
    trace = collector.await_paths(
        turn.trace_id,
        "realtime turn > transcribe publish > transcribe process > recognise",
        f"realtime turn > respond publish > respond process > chat {TALKER} > POST",
        "realtime turn > synthesize publish > synthesize process > synthesize",
    )
    assert trace.roots == [turn]
    assert {span.service for span in trace.spans} == {
        "antiphon-realtime",
        "antiphon-transcriber",
        "antiphon-responder",
        "antiphon-synthesizer",
    }
    about = {name.removeprefix("antiphon.turn."): value for name, value in turn.attributes.items()}
    assert (about["antiphon.item.id"], about["gen_ai.response.id"]) == (item_id, done["id"])
    assert (about["status"], about["resumed"]) == ("completed", False)
    assert about["answer_ms"] >= about["think_ms"] > 0
    assert about["speak_ms"] > 0
    assert about["hear_ms"] >= 0


async def test_in_a_session_that_only_listens_each_item_is_a_turn(
    realtime: openai.AsyncOpenAI, clips: Path, collector: Collector
) -> None:
    async with talking(realtime, intent="transcription") as talk:
        session_id = (await talk.until("session.created"))["session"]["id"]
        listening = {"transcription": {"model": "whisper-1"}, "turn_detection": None}
        await talk.send("session.update", session={"type": "transcription", "audio": {"input": listening}})
        await talk.until("session.updated")
        await talk.append(speech(clips / "en" / "hello_world.wav"))
        await talk.send("input_audio_buffer.commit")
        heard = await talk.until("conversation.item.input_audio_transcription.completed")
    (turn,) = collector.await_spans(1, "realtime turn", gen_ai__conversation__id=session_id)
    assert turn.attributes["antiphon.item.id"] == heard["item_id"]
    assert (turn.attributes["antiphon.turn.status"], "gen_ai.response.id" in turn.attributes) == ("heard", False)
    collector.await_paths(turn.trace_id, "realtime turn > transcribe publish > transcribe process > recognise")


@contextmanager
def hooked(http: httpx.Client) -> Iterator[list[dict[str, str]]]:
    """Have the end of jobs told to a receiver; the headers of what arrives."""
    with receiving() as receiver:
        made = http.post(
            "/v1/webhook_endpoints", json={"name": "t", "url": receiver.url, "event_types": ["job.completed"]}
        ).raise_for_status()
        headers: list[dict[str, str]] = []
        try:
            yield headers
            headers += [request.headers for request in receiver.wait()]
        finally:
            http.delete(f"/v1/webhook_endpoints/{made.json()['id']}").raise_for_status()


def test_what_a_webhook_tells_of_a_job_is_part_of_the_tree_and_goes_on_at_its_receiver(
    http: httpx.Client, clips: Path, collector: Collector, caller: Caller
) -> None:
    with hooked(http) as arrived:
        reply = http.post(
            "/v1/jobs",
            data={"kind": "transcribe", "model": "whisper-1"},
            files={"file": ("a.wav", (clips / "en" / "hello_world.wav").read_bytes())},
            headers=caller.headers,
        )
        assert reply.status_code == 202, reply.text
    job = "POST /v1/jobs > transcribe publish"
    trace: Trace = collector.await_paths(
        caller.trace_id,
        f"{job} > transcribe process > recognise",
        f"{job} > webhook publish > webhook process > POST",
    )
    assert trace.roots[0].parent_id == caller.span_id
    assert trace.one("recognise").attributes["antiphon.priority"] == "bulk"
    post = trace.one("POST")
    assert (post.kind, post.attributes["http.response.status_code"]) == ("CLIENT", 200)
    assert arrived[0]["traceparent"] == f"00-{caller.trace_id}-{post.span_id}-01"
