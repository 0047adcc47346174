"""What the door tells of the requests that it answers."""

from __future__ import annotations

import io
import wave
from typing import Any

import pytest
from prometheus_client import REGISTRY

from antiphon.bus import GivenUp, Work
from antiphon.errors import Failure
from antiphon.schemas import Delta, Schema, TranscribeJob
from tests.eventually import eventually
from tests.integration.ingest.conftest import Door

pytestmark = pytest.mark.integration


def requests(method: str, route: str, status: int) -> float:
    labels = {"http_request_method": method, "http_route": route, "http_response_status_code": str(status)}
    return REGISTRY.get_sample_value("http_server_request_duration_seconds_count", labels) or 0.0


def refusals(status: int, code: str) -> float:
    return REGISTRY.get_sample_value("antiphon_refusals_total", {"status": str(status), "code": code}) or 0.0


def routes() -> set[str]:
    samples = (sample for metric in REGISTRY.collect() for sample in metric.samples)
    return {sample.labels["http_route"] for sample in samples if "http_route" in sample.labels}


async def test_a_request_is_told_by_its_route_and_never_by_its_path(door: Door) -> None:
    dated = "/openai/deployments/{deployment}/audio/transcriptions"
    job, listed, lost = (
        ("GET", "/v1/jobs/{job_id}", 404),
        ("GET", "/v1/models", 200),
        ("GET", "unmatched", 404),
    )
    before = {each: requests(*each) for each in (job, listed, lost, ("POST", dated, 404))}
    await door.client.get("/v1/jobs/canary-path-1")
    await door.client.get("/v1/models")
    await door.client.get("/v1/canary-path-2")
    await door.client.post("/openai/deployments/canary%2Fpath/audio/transcriptions?api-version=2025-01-01", json={})
    await door.client.request("PROPFIND", "/v1/models")
    for each, count in before.items():
        assert requests(*each) == count + 1, each
    assert requests("_OTHER", "/v1/models", 405), "a method that a caller made up is none of ours"
    assert not [route for route in routes() if "canary" in route]


async def test_a_probe_is_not_counted(door: Door) -> None:
    await door.client.get("/healthz")
    await door.client.get("/readyz")
    assert not routes() & {"/healthz", "/readyz"}


async def test_a_refusal_is_counted_where_it_is_told(door: Door) -> None:
    kinds = ((401, "invalid_api_key"), (404, "invalid_request_error"), (400, "missing_required_parameter"))
    before = {kind: refusals(*kind) for kind in kinds}
    await door.client.get("/v1/models", headers={"authorization": "Bearer sk-nobody"})
    await door.client.get("/v1/nowhere")
    await door.client.post("/v1/audio/speech", json={"input": "Hello.", "voice": "nova"})
    assert {kind: refusals(*kind) - count for kind, count in before.items()} == dict.fromkeys(kinds, 1)


async def test_the_first_byte_is_timed_from_the_last_of_the_request(door: Door, synthesizer: Any) -> None:
    labels = {"route": "/v1/audio/speech"}
    before = REGISTRY.get_sample_value("antiphon_first_byte_seconds_count", labels) or 0.0
    running = [REGISTRY.get_sample_value("antiphon_requests_running")]
    async with synthesizer(door):
        reply = await door.client.post("/v1/audio/speech", json={"model": "tts-1", "input": "Hello.", "voice": "nova"})
        assert reply.status_code == 200, reply.text
    assert REGISTRY.get_sample_value("antiphon_first_byte_seconds_count", labels) == before + 1
    await eventually(lambda: REGISTRY.get_sample_value("antiphon_requests_running") == running[0])


async def break_off(job: TranscribeJob, work: Work) -> Schema:
    await work.emit("delta", Delta(delta=" Hello").model_dump_json().encode())
    raise GivenUp(Failure("Broken."))


async def test_an_error_in_the_middle_of_a_stream_counts_too(door: Door, transcriber: Any) -> None:
    before = refusals(500, "internal_error")
    sound = io.BytesIO()
    with wave.open(sound, "wb") as file:
        file.setparams((1, 2, 16_000, 0, "NONE", ""))
        file.writeframes(b"\0" * 32_000)
    async with transcriber(door, break_off):
        files = {"file": ("a.wav", sound.getvalue(), "audio/wav")}
        data = {"model": "gpt-4o-transcribe", "stream": "true"}
        reply = await door.client.post("/v1/audio/transcriptions", files=files, data=data)
        assert reply.status_code == 200, reply.text
        assert "Hello" in reply.text
    assert refusals(500, "internal_error") == before + 1
