from __future__ import annotations

from typing import Any

import httpx
import pytest

from antiphon.errors import Overloaded, Unavailable
from antiphon.schemas import Outcome, Speech, Transcript

pytestmark = pytest.mark.unit

KEY = "sk-test-0123456789"
WAV = b"RIFF\x24\x00\x00\x00WAVEfmt " + b"\0" * 64
V = {"api-version": "2024-10-21"}
FORM: dict[str, Any] = {"files": {"file": ("a.wav", WAV)}}


async def work(call: Any) -> None:
    if call.job.kind == "synthesize":
        call.emit("audio", b"ID3")
        speech = Speech(
            media_type="audio/mpeg", sample_rate=24000, duration=1, size=3, input_tokens=1, output_tokens=10
        )
        call.end(Outcome(id=call.job_id, status="completed", result=speech.model_dump()))
    else:
        task = "translate" if call.job.kind == "translate" else "transcribe"
        transcript = Transcript(task=task, language="de", duration=1.0, text=" Hi.")
        call.end(Outcome(id=call.job_id, status="completed", result=transcript.model_dump()))


@pytest.mark.parametrize("base", ["/v1", "/openai/v1"])
async def test_both_v1_routes_serve_the_whole_family(door: Any, base: str) -> None:
    door.caller.play = work
    data = {"model": "whisper-1"}
    for path in ("transcriptions", "translations"):
        reply = await door.client.post(f"{base}/audio/{path}", data=data, **FORM)
        assert reply.json()["text"] == "Hi.", reply.text
    speech = {"model": "tts-1", "input": "Hi.", "voice": "alloy"}
    reply = await door.client.post(f"{base}/audio/speech?api-version=preview", json=speech)
    assert (reply.status_code, reply.headers["content-type"], reply.content) == (200, "audio/mpeg", b"ID3")
    listed = (await door.client.get(f"{base}/models")).json()
    assert listed["object"] == "list"
    assert {"whisper-1", "tts-1", "gpt-4o-transcribe"} <= {model["id"] for model in listed["data"]}
    one = (await door.client.get(f"{base}/models/whisper-1")).json()
    assert one["object"] == "model"
    assert one["shutdown_date"] == "2027-02-26"


async def test_on_deployment_routes_the_path_wins_over_the_model(door: Any) -> None:
    door.caller.play = work
    path = "/openai/deployments/whisper/audio/transcriptions"
    reply = await door.client.post(path, params=V, data={"model": "nobody"}, **FORM)
    assert reply.status_code == 200, reply.text
    assert door.caller.job.model == "whisper"
    without_model = await door.client.post(path, params=V, **FORM)
    assert without_model.status_code == 200
    speech = {"model": "nobody", "input": "Hi.", "voice": "alloy"}
    spoken = await door.client.post("/openai/deployments/tts/audio/speech", params=V, json=speech)
    assert spoken.status_code == 200
    assert (await door.client.get("/openai/models", params=V)).json()["object"] == "list"


async def test_deployment_names_are_percent_decoded(open_door: Any, tmp_path: Any) -> None:
    models = tmp_path / "models.toml"
    models.write_text('[deployments]\n"my whisper" = "whisper-1"\n"team/whisper" = "whisper-1"\n')
    async with open_door(models_file=models) as door:
        door.caller.play = work
        for name in ("my%20whisper", "team%2Fwhisper"):
            url = f"/openai/deployments/{name}/audio/transcriptions"
            reply = await door.client.post(url, params=V, **FORM)
            assert reply.status_code == 200, reply.text


async def test_an_unknown_deployment_gets_the_words_of_the_gateway(door: Any) -> None:
    for kind, body in (
        ("speech", {"json": {"input": "Hi.", "voice": "alloy"}}),
        ("transcriptions", FORM),
        ("translations", FORM),
    ):
        reply = await door.client.post(f"/openai/deployments/nobody/audio/{kind}", params=V, **body)
        assert reply.status_code == 404
        assert reply.json()["error"]["code"] == "DeploymentNotFound"
        assert reply.json()["error"]["message"].startswith("The API deployment for this resource does not exist.")


@pytest.mark.parametrize("params", [{}, {"api-version": "soon"}, {"api-version": ""}])
async def test_dated_routes_need_a_version(door: Any, params: dict[str, str]) -> None:
    expected = {"error": {"code": "404", "message": "Resource not found"}}
    reply = await door.client.post("/openai/deployments/whisper/audio/transcriptions", params=params, **FORM)
    assert (reply.status_code, reply.json()) == (404, expected)
    reply = await door.client.get("/openai/models", params=params)
    assert (reply.status_code, reply.json()) == (404, expected)


async def test_an_unknown_model_is_not_found(door: Any) -> None:
    for path, body in (
        ("/v1/audio/transcriptions", {"data": {"model": "nobody"}, **FORM}),
        ("/v1/audio/translations", {"data": {"model": "nobody"}, **FORM}),
        ("/v1/audio/speech", {"json": {"model": "nobody", "input": "Hi.", "voice": "alloy"}}),
    ):
        reply = await door.client.post(path, **body)
        assert reply.status_code == 404
        assert reply.json()["error"] == {
            "message": "The model `nobody` does not exist or you do not have access to it.",
            "type": "invalid_request_error",
            "param": "model",
            "code": "model_not_found",
        }
    assert (await door.client.get("/v1/models/nobody")).status_code == 404
    assert not door.caller.calls


async def test_unknown_urls_and_methods_have_the_shape_of_the_api(door: Any) -> None:
    reply = await door.client.get("/v1/nothing")
    assert (reply.status_code, reply.json()["error"]["message"]) == (404, "Invalid URL (GET /v1/nothing)")
    reply = await door.client.get("/v1/audio/speech")
    assert reply.status_code == 405
    assert reply.headers["allow"] == "POST"
    assert reply.json()["error"]["message"] == "Invalid method for URL (GET /v1/audio/speech)"
    reply = await door.client.get("/openai/nothing", params=V)
    assert reply.json() == {"error": {"code": "404", "message": "Resource not found"}}
    reply = await door.client.get("/nothing")
    assert reply.json()["error"]["type"] == "invalid_request_error"


@pytest.mark.parametrize(
    ("path", "code"), [("/v1/models", "invalid_api_key"), ("/openai/models", "401"), ("/v1", "invalid_api_key")]
)
async def test_nobody_passes_without_a_key(door: Any, path: str, code: str) -> None:
    async with httpx.AsyncClient(base_url=door.url, trust_env=False) as client:
        for headers in ({}, {"api-key": "wrong"}, {"authorization": "Bearer wrong"}):
            reply = await client.get(path, headers=headers)
            assert reply.status_code == 401
            assert str(reply.json()["error"]["code"]) == code


@pytest.mark.parametrize("header", ["api-key", "ocp-apim-subscription-key"])
async def test_a_key_is_taken_from_either_header_on_every_route(door: Any, header: str) -> None:
    async with httpx.AsyncClient(base_url=door.url, trust_env=False, headers={header: KEY}) as client:
        assert (await client.get("/v1/models")).status_code == 200
        assert (await client.get("/openai/models", params=V)).status_code == 200
        both = await client.get("/v1/models", headers={"authorization": "Bearer sk-other"})
        assert both.status_code == 200


async def test_every_answer_carries_its_id_and_its_time(door: Any) -> None:
    replies = [await door.client.get(path) for path in ("/v1/models", "/v1/nothing", "/openai/models")]
    assert len({reply.headers["x-request-id"] for reply in replies}) == 3
    for reply in replies:
        assert reply.headers["openai-version"] == "2020-10-01"
        assert int(reply.headers["openai-processing-ms"]) >= 0
    assert "apim-request-id" in replies[2].headers
    assert "apim-request-id" not in replies[0].headers


async def test_a_full_backlog_is_told_as_429_with_the_time_to_wait(door: Any) -> None:
    door.caller.error = Overloaded("The backlog is full.", retry_after_s=1.5)
    reply = await door.client.post("/v1/audio/transcriptions", data={"model": "whisper-1"}, **FORM)
    assert (reply.status_code, reply.json()["error"]["code"]) == (429, "rate_limit_exceeded")
    assert (reply.headers["retry-after"], reply.headers["retry-after-ms"]) == ("2", "1500")
    await door.eventually(lambda: not door.blobs())


async def test_a_bus_that_is_away_is_told_as_503(door: Any) -> None:
    door.caller.error = Unavailable("The bus cannot be reached.", retry_after_s=1)
    reply = await door.client.post("/v1/audio/speech", json={"model": "tts-1", "input": "Hi.", "voice": "alloy"})
    assert (reply.status_code, reply.headers["retry-after"]) == (503, "1")
    assert "x-should-retry" not in reply.headers


async def test_a_fault_of_ours_is_told_in_the_shape_of_the_api(door: Any) -> None:
    door.caller.error = RuntimeError("secret detail")
    reply = await door.client.post("/v1/audio/speech", json={"model": "tts-1", "input": "Hi.", "voice": "alloy"})
    assert reply.status_code == 500
    assert reply.json()["error"]["type"] == "server_error"
    assert "secret" not in reply.text


async def test_the_deadline_travels_with_the_job(open_door: Any) -> None:
    async with open_door(request_timeout=30) as door:
        door.caller.play = work
        await door.client.post("/v1/audio/transcriptions", data={"model": "whisper-1"}, **FORM)
        assert door.caller.expires_in_s == 30


@pytest.mark.parametrize(
    ("content", "headers", "status"),
    [
        (b"{", {}, 400),
        (b"", {}, 400),
        (b"[1]", {}, 400),
        (b'{"model": "tts-1", "input": "\xff"}', {}, 400),
        (b"{}", {"content-type": "text/plain"}, 415),
        (b"x" * (2**20 + 1), {"content-type": "application/json"}, 413),
    ],
)
async def test_a_body_of_speech_that_cannot_be_read_is_refused(
    door: Any, content: bytes, headers: dict[str, str], status: int
) -> None:
    headers = {"content-type": "application/json", **headers}
    reply = await door.client.post("/v1/audio/speech", content=content, headers=headers)
    assert reply.status_code == status, reply.text
    assert "message" in reply.json()["error"]


async def test_speech_is_also_asked_for_with_a_form(door: Any) -> None:
    door.caller.play = work
    form = {name: (None, value) for name, value in (("model", "tts-1"), ("input", "Hi."), ("voice", "alloy"))}
    reply = await door.client.post("/v1/audio/speech", files=form | {"speed": (None, "1.5")})
    assert reply.status_code == 200, reply.text
    assert door.caller.job.speed == 1.5


async def test_parameters_reach_the_job(door: Any) -> None:
    door.caller.play = work
    body = {"model": "gpt-4o-mini-tts", "input": "Hi.", "voice": {"id": "nova"}, "instructions": "Softly."}
    await door.client.post("/v1/audio/speech", json=body | {"response_format": "pcm", "speed": 2, "novelty": 1})
    job = door.caller.job
    assert (job.voice, job.instructions, job.format, job.speed, job.stream) == ("nova", "Softly.", "pcm", 2.0, True)
    assert job.tenant.startswith("key-")


async def test_liveness_needs_nothing_and_readiness_says_what_is_missing(door: Any) -> None:
    async with httpx.AsyncClient(base_url=door.url, trust_env=False) as client:
        assert (await client.get("/healthz")).status_code == 200
        assert (await client.get("/readyz")).json() == {"status": "ready"}
        del door.bus.workers["translate"]
        reply = await client.get("/readyz")
        assert (reply.status_code, reply.json()["missing"]) == (503, ["translate worker"])
        door.bus.error = Unavailable("The bus cannot be reached.")
        reply = await client.get("/readyz")
        assert (reply.status_code, reply.json()["missing"]) == (503, ["redis"])
        assert (await client.get("/healthz")).status_code == 200


async def test_a_path_prefix_is_taken_off(open_door: Any) -> None:
    async with open_door(path_prefix="/speech/eu") as door:
        assert (await door.client.get("/speech/eu/v1/models")).status_code == 200
        reply = await door.client.get("/speech/eu/openai/models")
        assert reply.json()["error"]["code"] == "404"
