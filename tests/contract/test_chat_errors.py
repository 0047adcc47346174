"""`/chat/completions` when something is wrong: with the request, with a recording, with the server behind the model."""

from __future__ import annotations

import http.client as http_client
import itertools
import time
from pathlib import Path
from typing import Any

import httpx
import openai
import orjson
import pytest

from tests.contract.chat_models import ECHO, UPSTREAM_KEY
from tests.contract.chat_server import PlatformServer
from tests.contract.chat_talk import at_once, encode, events_of, records, refers, says, voiced
from tests.contract.chat_upstream import ScriptedUpstream
from tests.contract.conftest import Served

pytestmark = [pytest.mark.contract, pytest.mark.timeout(120), pytest.mark.usefixtures("upstream")]

PROMPTLY_S = 15.0
"""Three attempts and the pauses between them, on a machine with other work."""
STREAMED = {"stream": True}
COUNTING = says("one two three four five six seven")
NO_SUCH_AUDIO = "audio_" + 32 * "f"


def refused(http: httpx.Client, body: Any, *, path: str = "/v1/chat/completions") -> tuple[int, dict[str, Any]]:
    """Return the status and the error of a request that is to be refused."""
    reply = http.post(path, json={"model": ECHO, "messages": [says("Hello.")]} | body)
    assert reply.headers["content-type"] == "application/json"
    error: dict[str, Any] = reply.json()["error"]
    assert set(error) == {"message", "type", "param", "code"}
    return reply.status_code, error


@pytest.fixture
def server(platform: Served) -> PlatformServer:
    assert platform.state is not None
    return PlatformServer(platform.state)


WRONG: dict[str, tuple[dict[str, Any], str, str]] = {
    "no messages": ({"messages": None}, "messages", "missing_required_parameter"),
    "empty messages": ({"messages": []}, "messages", "invalid_value"),
    "an unknown role": ({"messages": [{"role": "robot", "content": "Hi."}]}, "messages[0].role", "invalid_value"),
    "no content": ({"messages": [{"role": "user"}]}, "messages[0].content", "missing_required_parameter"),
    "two answers": ({"n": 2}, "n", "unsupported_value"),
    "no voice": ({"modalities": ["text", "audio"]}, "audio", "missing_required_parameter"),
    "an unknown voice": (voiced("wav", "nobody"), "audio.voice", "invalid_value"),
    "an unknown format": (voiced("midi"), "audio.format", "invalid_value"),
    "sound alone": (voiced("wav") | {"modalities": ["audio"]}, "modalities", "invalid_value"),
    "a streamed file": (voiced("wav") | {"stream": True}, "audio.format", "unsupported_value"),
    "a choice of no tools": ({"tool_choice": "required"}, "tool_choice", "invalid_value"),
    "heat": ({"temperature": 3}, "temperature", "invalid_value"),
    "a stray result": (
        {"messages": [{"role": "tool", "tool_call_id": "call_1", "content": "1"}]},
        "messages[0].role",
        "invalid_value",
    ),
}


@pytest.mark.parametrize(("body", "param", "code"), WRONG.values(), ids=WRONG.keys())
def test_a_wrong_request_is_told_what_is_wrong(http: httpx.Client, body: dict[str, Any], param: str, code: str) -> None:
    status, error = refused(http, body)
    assert (status, error["type"], error["param"], error["code"]) == (400, "invalid_request_error", param, code), error


def test_a_streamed_file_is_refused_in_the_words_that_clients_match_on(client: openai.OpenAI) -> None:
    with pytest.raises(openai.BadRequestError) as raised:
        client.chat.completions.create(
            model=ECHO,
            messages=[{"role": "user", "content": "Hi."}],
            modalities=["text", "audio"],
            audio={"voice": "alloy", "format": "wav"},
            stream=True,
        )
    assert raised.value.body == {
        "message": "Unsupported value: 'audio.format' does not support 'wav' when stream=true. "
        "Supported values are: 'pcm16'.",
        "type": "invalid_request_error",
        "param": "audio.format",
        "code": "unsupported_value",
    }


def test_an_unknown_model_is_not_found(http: httpx.Client) -> None:
    status, error = refused(http, {"model": "nothing"})
    assert (status, error["code"]) == (404, "model_not_found")
    assert error["message"] == "The model `nothing` does not exist or you do not have access to it."
    status, error = refused(http, {"model": "whisper-1"})
    assert (status, error["code"]) == (404, "model_not_found")


def test_an_unknown_deployment_is_told_as_azure_tells_it(http: httpx.Client) -> None:
    path = "/openai/deployments/nothing/chat/completions"
    reply = http.post(f"{path}?api-version=2024-10-21", json={"messages": [says("Hi.")]})
    assert (reply.status_code, reply.json()["error"]["code"]) == (404, "DeploymentNotFound")
    assert http.post(path, json={"messages": [says("Hi.")]}).status_code == 404


PLACE = "messages[1].content[0].input_audio.data"
RECORDINGS: dict[str, tuple[dict[str, str], str]] = {
    "noise": ({"data": encode(b"noise" * 1000), "format": "wav"}, "invalid_value"),
    "a head alone": ({"data": encode(b"RIFF\xff\xff\xff\xffWAVE" + bytes(100)), "format": "wav"}, "invalid_value"),
    "broken mp3": ({"data": encode(b"\xff\xfb\x90\x00" + bytes(range(256)) * 8), "format": "mp3"}, "invalid_value"),
    "nothing": ({"data": "", "format": "wav"}, "audio_too_short"),
    "no base64": ({"data": "?" * 400, "format": "wav"}, "invalid_value"),
    "a data URL": ({"data": "data:audio/wav;base64," + encode(bytes(400)), "format": "wav"}, "invalid_value"),
}


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])
@pytest.mark.parametrize(("recording", "code"), RECORDINGS.values(), ids=RECORDINGS.keys())
def test_a_recording_that_cannot_be_read_is_named(
    http: httpx.Client, recording: dict[str, str], code: str, stream: bool
) -> None:
    heard = {"role": "user", "content": [{"type": "input_audio", "input_audio": recording}]}
    status, error = refused(http, {"messages": [says("Listen."), heard], "stream": stream})
    assert (status, error["type"], error["param"]) == (400, "invalid_request_error", PLACE), error
    assert error["code"] == code


def test_a_recording_that_breaks_off_is_heard_as_far_as_it_goes(http: httpx.Client, clips: Path) -> None:
    sound = (clips / "en/quick_brown_fox.wav").read_bytes()
    reply = http.post(
        "/v1/chat/completions", json={"model": ECHO, "messages": [records(sound[: len(sound) * 2 // 3], "wav")]}
    )
    assert reply.status_code == 200, reply.text
    assert "quick" in reply.json()["choices"][0]["message"]["content"]


def test_a_body_that_is_too_large_is_refused_unread(platform: Served) -> None:
    limit = 64 * 2**20
    connection = http_client.HTTPConnection(platform.root_url.removeprefix("http://"), timeout=20)
    connection.putrequest("POST", "/v1/chat/completions")
    connection.putheader("authorization", f"Bearer {platform.api_key}")
    connection.putheader("content-type", "application/json")
    connection.putheader("content-length", str(limit + 1))
    connection.endheaders()
    reply = connection.getresponse()
    assert reply.status == 413
    assert orjson.loads(reply.read())["error"] == {
        "message": f"Maximum content size limit ({limit}) exceeded ({limit + 1} bytes read)",
        "type": "server_error",
        "param": None,
        "code": None,
    }
    connection.close()


def test_audio_that_never_was_is_not_found(http: httpx.Client) -> None:
    for audio_id in ("audio_1", NO_SUCH_AUDIO):
        status, error = refused(http, {"messages": [says("Hi."), refers(audio_id), says("And?")]})
        assert (status, error["code"], error["param"]) == (404, "audio_not_found", "messages[1].audio.id")


DOWN: dict[str, tuple[int, str]] = {
    "up-down": (503, "service_unavailable"),
    "up-500": (503, "service_unavailable"),
    "up-429": (429, "rate_limit_exceeded"),
    "up-401": (502, "upstream_error"),
    "up-late": (504, "deadline_exceeded"),
    "up-malformed": (502, "upstream_error"),
}


def test_a_server_that_does_not_answer_is_told_by_status_and_promptly(http: httpx.Client) -> None:
    def ask(case: tuple[str, bool, bool]) -> tuple[int, dict[str, Any], float]:
        model, stream, spoken = case
        started = time.monotonic()
        sound = voiced("pcm16") if spoken else {}
        status, error = refused(http, {"model": model, "messages": [COUNTING], "stream": stream, **sound})
        return status, error, time.monotonic() - started

    cases = list(itertools.product(DOWN, (False, True), (False, True)))
    for case, (status, error, took_s) in zip(cases, at_once(ask, cases), strict=True):
        assert (status, error["code"]) == DOWN[case[0]], (case, error)
        assert UPSTREAM_KEY not in error["message"]
        assert took_s < PROMPTLY_S, case


def test_how_long_a_busy_server_wants_to_be_left_alone_is_passed_on(client: openai.OpenAI) -> None:
    with pytest.raises(openai.RateLimitError) as raised:
        client.chat.completions.create(model="up-429", messages=[{"role": "user", "content": "Hi."}])
    assert raised.value.response.headers["retry-after"] == "30"


BROKEN: dict[str, tuple[int, str]] = {
    "up-cut": (502, "upstream_error"),
    "up-silent": (504, "deadline_exceeded"),
    "up-error": (503, "service_unavailable"),
}
"""What breaks after four words, and what is told then."""


def test_an_answer_that_breaks_off_is_no_answer_and_nothing_of_it_is_kept(
    http: httpx.Client, client: openai.OpenAI, server: PlatformServer
) -> None:
    def ask_whole(model: str) -> tuple[int, dict[str, Any]]:
        return refused(http, broken_off(model) | voiced("mp3"))

    def ask_streamed(model: str) -> list[dict[str, Any]]:
        with http.stream("POST", "/v1/chat/completions", json=broken_off(model) | voiced("pcm16") | STREAMED) as reply:
            assert reply.status_code == 200
            return [orjson.loads(event) for event in events_of(reply.iter_lines())]

    started = time.monotonic()
    for model, (status, error) in zip(BROKEN, at_once(ask_whole, list(BROKEN)), strict=True):
        assert (status, error["code"]) == BROKEN[model]
    for model, (*chunks, last) in zip(BROKEN, at_once(ask_streamed, list(BROKEN)), strict=True):
        assert (set(last), last["error"]["code"]) == ({"error"}, BROKEN[model][1])
        assert all(chunk["choices"][0]["finish_reason"] is None for chunk in chunks)
        audio = [chunk["choices"][0]["delta"]["audio"] for chunk in chunks]
        assert "".join(each.get("transcript", "") for each in audio) == "You said: one two"
        (audio_id,) = [each["id"] for each in audio if "id" in each]
        status, error = refused(http, {"messages": [says("Hi."), refers(audio_id), says("And?")]})
        assert (status, error["code"]) == (404, "audio_not_found")
        with pytest.raises(openai.NotFoundError):
            client.chat.completions.retrieve(chunks[0]["id"])
    assert time.monotonic() - started < 2 * PROMPTLY_S
    assert client.chat.completions.list(metadata={"broken": "off"}).data == []
    assert server.leaks() == []


def broken_off(model: str) -> dict[str, Any]:
    return {"model": model, "messages": [COUNTING], "store": True, "metadata": {"broken": "off"}}


def test_the_official_client_raises_in_the_middle_of_a_stream(client: openai.OpenAI) -> None:
    said = ""
    with pytest.raises(openai.APIError) as raised:
        for chunk in client.chat.completions.create(
            model="up-cut", messages=[{"role": "user", "content": "one two three four five"}], stream=True
        ):
            said += chunk.choices[0].delta.content or ""
    assert said == "You said: one two"
    assert raised.value.code == "upstream_error"


def test_the_key_of_an_upstream_goes_to_the_upstream_alone(
    http: httpx.Client, platform: Served, upstream: ScriptedUpstream
) -> None:
    upstream.forget()
    http.post("/v1/chat/completions", json={"model": ECHO, "messages": [says("Whose key is it?")]})
    (asked,) = upstream.asked("Whose key is it?")
    assert asked["headers"]["authorization"] == f"Bearer {UPSTREAM_KEY}"
    assert platform.api_key not in str(asked)
