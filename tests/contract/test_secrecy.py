"""No audio, no word of a caller and no key is in any log, span or metric, whatever goes right or wrong.

The platform of the tests logs at DEBUG. Everything that a caller can send is sent here with a canary in it.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import json
import re
import secrets
from dataclasses import dataclass, field

import httpx
import openai
import pytest
import websockets
from websockets.typing import Subprotocol

from tests.contract.chat_models import ECHO, LOCAL
from tests.contract.chat_talk import records, says, voiced
from tests.contract.collector import Collector
from tests.contract.conftest import Served
from tests.contract.realtime_client import talking
from tests.contract.realtime_models import BROKEN
from tests.contract.realtime_models import ECHO as TALKER
from tests.contract.realtime_sounds import silence
from tests.contract.receiver import receiving

pytestmark = [pytest.mark.contract, pytest.mark.timeout(400)]

HEARD = "harpsichord"
"""A word that is said aloud, and that nothing else here is called."""
SPAN_EVENTS = re.compile(r"exception\.(message|stacktrace)")
SOUND = re.compile(r"[A-Za-z0-9+]{100,}")
"""Base64 of any length that is worth anything; a path has its slashes closer together."""


@dataclass
class Canaries:
    """What was sent. A canary is random, so that nobody else can have said it."""

    sent: dict[str, str] = field(default_factory=dict)

    def __call__(self, place: str) -> str:
        """Return the canary of a place."""
        return self.sent.setdefault(place, f"canary{secrets.token_hex(8)}")

    def found_in(self, text: str) -> list[str]:
        """Return the places whose canaries, or what clients send for them, are in a text."""
        text = text.lower()
        words = {**self.sent, "speech": HEARD}
        return [
            place
            for place, word in words.items()
            if word in text or base64.b64encode(word.encode())[3:-4].decode().lower() in text
        ]


@dataclass(frozen=True)
class Said:
    """All that the platform has said about its work."""

    lines: tuple[str, ...]
    spans: tuple[str, ...]
    metrics: str


@pytest.fixture(scope="module")
def canary() -> Canaries:
    return Canaries()


@pytest.fixture(scope="module")
def said(platform: Served, collector: Collector, canary: Canaries) -> Said:
    """Send everything, wait until it has been told, and return that."""
    if platform.state is None:
        pytest.skip("the logs of a platform are for those who run it")
    headers = {"authorization": f"Bearer {platform.api_key}"}
    with httpx.Client(base_url=platform.root_url, headers=headers, trust_env=False, timeout=100) as http:
        sound = speak(http, canary)
        for part in (recordings, chats, failing_chats, hooks, keys):
            part(http, sound, canary)
        asyncio.run(sessions(platform, sound, canary))
        # The spans of one process come in the order in which they ended.
        await_latest(http, collector, "/v1/audio/speech", {"model": "tts-1", "voice": "alloy", "input": "Good night."})
        await_latest(http, collector, "/v1/chat/completions", {"model": ECHO, "messages": [says("Good night.")]})
        metrics = "".join(
            http.get(f"http://127.0.0.1:{port}/metrics", headers={"authorization": ""}).raise_for_status().text
            for port in platform.metrics_ports
        )
    logs = [path for path in (platform.state / "logs").glob("*.log*") if not path.name.startswith("server.")]
    assert len(logs) >= len(platform.metrics_ports)
    lines = tuple(line for path in logs for line in path.read_text().splitlines() if line)
    return Said(lines, tuple(span.words for span in tuple(collector.spans)), metrics)


def await_latest(http: httpx.Client, collector: Collector, path: str, body: dict[str, object]) -> None:
    """Make a request, and wait until its spans have come."""
    trace_id = secrets.token_hex(16)
    traced = {"traceparent": f"00-{trace_id}-{secrets.token_hex(8)}-01"}
    http.post(path, json=body, headers=traced).raise_for_status()
    worker = {"/v1/audio/speech": "synthesize", "/v1/chat/completions": "respond"}[path]
    collector.await_paths(trace_id, f"POST {path} > {worker} publish > {worker} process")


# -- what is sent ------------------------------------------------------------------------------------------------------


def speak(http: httpx.Client, canary: Canaries) -> bytes:
    """Have a canary spoken; return the sound."""
    text = f"Please tune the old {HEARD} before the concert."
    asked = {"model": "tts-1", "voice": "alloy", "input": text, "response_format": "wav"}
    sound = http.post("/v1/audio/speech", json=asked).raise_for_status().content
    marked = {"input": canary("text to be spoken"), "instructions": canary("instructions for speech")}
    http.post("/v1/audio/speech", json={**asked, **marked, "model": "hibari"}).raise_for_status()
    for wrong in ({"voice": canary("voice")}, {"model": canary("model")}, {"response_format": canary("format")}):
        assert http.post("/v1/audio/speech", json={**asked, **wrong}).status_code in (400, 404)
    return sound


def recordings(http: httpx.Client, sound: bytes, canary: Canaries) -> None:
    """Have recordings recognised, well and badly."""
    url = "/v1/audio/transcriptions"
    fields = {"model": "whisper-1", "prompt": canary("prompt"), "language": "en"}
    file = {"file": (f"{canary('name of a file')}.wav", sound)}
    heard = http.post(url, data=fields, files=file).raise_for_status().json()["text"]
    assert HEARD in heard.lower(), heard
    streamed = http.post(url, data={**fields, "model": "gpt-4o-transcribe", "stream": "true"}, files=file)
    assert HEARD in streamed.raise_for_status().text.lower()
    http.post("/v1/audio/translations", data={"model": "whisper-1"}, files=file).raise_for_status()
    broken = {"file": ("a.wav", b"RIFF\x24\x00\x00\x00WAVEfmt " + 40 * canary("broken file").encode())}
    assert http.post(url, data=fields, files=broken).status_code == 400
    for wrong in ({"model": canary("model")}, {"temperature": canary("number")}):
        assert http.post(url, data={**fields, **wrong}, files=file).status_code in (400, 404)
    asked = {**fields, canary("field"): canary("field")}
    http.post(f"{url}?{canary('query')}={canary('query')}", data=asked, files=file).raise_for_status()


def chats(http: httpx.Client, sound: bytes, canary: Canaries) -> None:
    """Have answers written and spoken."""
    url = "/v1/chat/completions"
    tool = {
        "type": "function",
        "function": {
            "name": canary("tool"),
            "description": canary("description of a tool"),
            "parameters": {"type": "object", "properties": {canary("argument"): {"type": "string"}}},
        },
    }
    question = [{"role": "system", "content": canary("system message")}, says(f"Say {canary('question')}.")]
    options = {
        canary("field"): canary("field"),
        "user": canary("user"),
        "metadata": {"k": canary("metadata")},
        "stop": [canary("stop word")],
    }
    reply = http.post(url, json={"model": ECHO, "messages": question, **options}).raise_for_status()
    assert canary("question") in reply.text
    spoken = {"model": TALKER, "messages": question, "stream": True, **voiced("pcm16")}
    http.post(url, json=spoken).raise_for_status()
    hearing = {"model": TALKER, "messages": [records(sound, "wav", canary("text beside sound"))], **voiced("wav")}
    assert HEARD in http.post(url, json=hearing).raise_for_status().text.lower()
    called = {"model": ECHO, "messages": [says(f"Use {canary('tool')}.")], "tools": [tool], "tool_choice": "required"}
    assert canary("tool") in http.post(url, json=called).raise_for_status().text
    own = {"model": LOCAL, "messages": question, "max_tokens": 4}
    http.post(url, json=own).raise_for_status()
    forced = {"type": "json_schema", "json_schema": {"name": "x", "schema": {"pattern": canary("schema")}}}
    http.post(url, json={**own, "response_format": forced})


def failing_chats(http: httpx.Client, sound: bytes, canary: Canaries) -> None:
    """Ask what cannot be answered."""
    url = "/v1/chat/completions"
    question = [says(f"Say {canary('question')} to all of us, one word after the other.")]
    for model in ("up-error", "up-500", "up-malformed", "up-cut", "up-down", "up-401", canary("model")):
        assert http.post(url, json={"model": model, "messages": question}).status_code >= 400
        http.post(url, json={"model": model, "messages": question, "stream": True})
    for body in (
        '{"model": "x", "messages": [{"role": "user", "content": "' + canary("malformed JSON"),
        json.dumps({"model": ECHO, "messages": canary("wrong type")}),
        json.dumps({"model": ECHO, "messages": question, "temperature": canary("number")}),
        json.dumps({"model": ECHO, "messages": [{"role": canary("role"), "content": "x"}]}),
        json.dumps({"model": ECHO, "messages": [records(canary("broken sound").encode(), "wav")]}),
    ):
        assert http.post(url, content=body, headers={"content-type": "application/json"}).status_code == 400, body


def hooks(http: httpx.Client, sound: bytes, canary: Canaries) -> None:
    """Have jobs done whose ends are told to a receiver, and to one that refuses them."""
    with receiving() as receiver:
        url = f"{receiver.url}/{canary('path of a hook')}?token={canary('token of a hook')}"
        made = http.post(
            "/v1/webhook_endpoints",
            json={"name": canary("name of a hook"), "url": url, "event_types": ["job.completed", "job.failed"]},
        ).raise_for_status()
        canary.sent["secret of a hook"] = made.json()["signing_secret"].removeprefix("whsec_").lower()
        try:
            fields = {
                "kind": "transcribe",
                "model": "whisper-1",
                "metadata": json.dumps({"k": canary("metadata")}),
            }
            for file in (sound, b"RIFF\x24\x00\x00\x00WAVEfmt " + canary("broken file").encode()):
                named = {"file": (f"{canary('name of a file')}.wav", file)}
                reply = http.post("/v1/jobs", data=fields, files=named)
                assert reply.status_code == 202, reply.text
            receiver.wait(2)
            receiver.status = 500
            http.post(f"/v1/webhook_endpoints/{made.json()['id']}/test")
        finally:
            http.delete(f"/v1/webhook_endpoints/{made.json()['id']}").raise_for_status()


def keys(http: httpx.Client, sound: bytes, canary: Canaries) -> None:
    """Come with keys that open nothing, and make one that does for a while."""
    wrong = f"sk-{canary('wrong key')}"
    for headers in ({"authorization": f"Bearer {wrong}"}, {"authorization": "", "api-key": wrong}):
        assert http.get("/v1/models", headers=headers).status_code == 401
    assert http.get(f"/v1/models?api-key={wrong}", headers={"authorization": ""}).status_code == 401
    made = http.post("/v1/realtime/client_secrets", json={"session": {"type": "realtime", "model": TALKER}})
    canary.sent["client secret"] = made.raise_for_status().json()["value"].lower()


async def sessions(platform: Served, sound: bytes, canary: Canaries) -> None:
    """Talk, with keys wherever a WebSocket may carry them."""
    canary.sent["key"] = platform.api_key.lower()
    canary.sent["other key"] = platform.other_api_key.lower()
    base = platform.root_url.replace("http", "ws", 1)
    wrong = f"sk-{canary('wrong key')}"
    for url, protocols in (
        (f"{base}/openai/v1/realtime?model={TALKER}&api-key={platform.api_key}", []),
        (f"{base}/v1/realtime?model={TALKER}", [f"openai-insecure-api-key.{platform.api_key}"]),
    ):
        async with connect(url, protocols) as socket:
            assert "session.created" in await asyncio.wait_for(socket.recv(decode=True), 30)
            for frame in ("{" + canary("malformed JSON"), json.dumps({"type": canary("event")})):
                await socket.send(frame)
                assert '"error"' in await asyncio.wait_for(socket.recv(decode=True), 30)
    for url, protocols in (
        (f"{base}/openai/v1/realtime?model={TALKER}&api-key={wrong}", []),
        (f"{base}/v1/realtime?model={TALKER}", [f"openai-insecure-api-key.{wrong}"]),
        (f"{base}/v1/realtime?model={canary('model')}", [f"openai-insecure-api-key.{platform.api_key}"]),
    ):
        with contextlib.suppress(websockets.WebSocketException):
            async with connect(url, protocols) as socket:
                assert "session.created" not in await asyncio.wait_for(socket.recv(decode=True), 30)
    async with openai.AsyncOpenAI(
        base_url=platform.base_url,
        websocket_base_url=platform.base_url.replace("http", "ws", 1),
        api_key=platform.api_key,
        max_retries=0,
    ) as client:
        await talk_well(client, sound, canary)
        await talk_badly(client, canary)


def connect(url: str, protocols: list[str]) -> websockets.connect:
    """Open a WebSocket with keys among its protocols, as browsers have to."""
    return websockets.connect(url, subprotocols=[Subprotocol(name) for name in ("realtime", *protocols)], proxy=None)


async def talk_well(client: openai.AsyncOpenAI, sound: bytes, canary: Canaries) -> None:
    async with talking(client, TALKER) as talk:
        turns = {"type": "server_vad", "silence_duration_ms": 300}
        listening = {"transcription": {"model": "whisper-1", "prompt": canary("prompt")}, "turn_detection": turns}
        await talk.update(instructions=canary("instructions of a session"), audio={"input": listening})
        # A file's header is 44 bytes long.
        await talk.hear(silence(300) + sound[44:] + silence(900), pace=4)
        heard = await talk.find("conversation.item.input_audio_transcription.completed")
        assert HEARD in heard["transcript"].lower()
        await talk.until("response.done")
        await talk.say(f"Say {canary('text in a session')}.")
        await talk.send("response.create")
        await talk.until("response.done")


async def talk_badly(client: openai.AsyncOpenAI, canary: Canaries) -> None:
    async with talking(client, BROKEN) as talk:
        await talk.update(output_modalities=["text"])
        await talk.say(f"One two three four five {canary('text in a session')}.")
        await talk.send("response.create")
        assert (await talk.until("response.done"))["response"]["status"] == "failed"
        for session in ({"audio": {"input": {"format": canary("format")}}}, {canary("field"): 1}):
            await talk.send("session.update", session={"type": "realtime", **session})
            await talk.until("error")
        server = {
            "type": "mcp",
            "server_label": "there",
            "server_url": f"http://127.0.0.1:9/{canary('path of a tool server')}?t={canary('query of a tool server')}",
            "authorization": canary("key of a tool server"),
        }
        await talk.send("session.update", session={"type": "realtime", "tools": [server]})
        await talk.until("mcp_list_tools.failed")


# -- what is said of it ------------------------------------------------------------------------------------------------


def test_no_log_line_repeats_what_a_caller_has_sent(said: Said, canary: Canaries) -> None:
    assert {"key", "client secret", "secret of a hook", "key of a tool server", "broken sound"} <= set(canary.sent)
    leaks = {line[:600]: places for line in said.lines if (places := canary.found_in(line))}
    assert not leaks
    assert not [line for line in said.lines if SOUND.search(line)]


def test_every_log_line_is_an_object_that_knows_its_trace(said: Said) -> None:
    records = [json.loads(line) for line in said.lines]
    assert all({"time", "level", "service", "logger", "message"} <= set(record) for record in records)
    requests = [record for record in records if record["logger"] == "antiphon.ingest" and "trace_id" in record]
    assert requests
    assert all(re.fullmatch("[0-9a-f]{32}", record["trace_id"]) for record in requests)
    workers = [record for record in records if record["logger"].startswith("services.responder")]
    assert workers
    assert all("trace_id" in record for record in workers), "what a worker says of a job is part of the job's trace"


def test_no_span_repeats_what_a_caller_has_sent(said: Said, canary: Canaries) -> None:
    assert len(said.spans) > 100
    leaks = {span[:2000]: places for span in said.spans if (places := canary.found_in(span))}
    assert not leaks
    assert not [span for span in said.spans if SOUND.search(span) or SPAN_EVENTS.search(span)]


def test_no_metric_repeats_what_a_caller_has_sent(said: Said, canary: Canaries) -> None:
    for family in (
        "antiphon_stage_seconds_bucket",
        "antiphon_real_time_factor_bucket",
        "antiphon_batch_size_bucket",
        "antiphon_audio_seconds_total",
        "antiphon_tokens_total",
        "gen_ai_server_time_to_first_token_seconds_bucket",
        "antiphon_upstream_seconds_bucket",
        "antiphon_turns_total",
        "antiphon_turn_seconds_bucket",
        "antiphon_refusals_total",
        "http_server_request_duration_seconds_bucket",
    ):
        assert f"{family}{{" in said.metrics
    leaks = {line: places for line in said.metrics.splitlines() if (places := canary.found_in(line))}
    assert not leaks
