from __future__ import annotations

import json
from typing import Any

import httpx
import pytest

from tests.integration.speech.conftest import OpenScene, Scene

pytestmark = pytest.mark.integration

V = {"api-version": "2025-10-15"}
URL = "/speechtotext/transcriptions:transcribe"
WAV = b"RIFF\x24\x00\x00\x00WAVEfmt " + b"\0" * 64


async def transcribe(scene: Scene, *, audio: bytes | None = WAV, **definition: Any) -> httpx.Response:
    files: dict[str, Any] = {"definition": ("definition", json.dumps(definition), "application/json")}
    if audio is not None:
        files["audio"] = ("call.wav", audio, "audio/wav")
    return await scene.client.post(URL, params=V, files=files)


async def test_a_recording_is_answered_with_phrases(scene: Scene) -> None:
    async with scene.serve() as hearing:
        reply = await transcribe(scene, locales=["de-AT"], phraseList={"phrases": ["Contoso"]})
        assert reply.status_code == 200, reply.text
        body = reply.json()
        assert body["durationMilliseconds"] == 2500
        assert body["combinedPhrases"][0]["text"].endswith("speaking.")
        (phrase,) = body["phrases"]
        assert (phrase["locale"], len(phrase["words"])) == ("de-AT", 2)
        (job,) = hearing.heard
        assert (job.options.language, job.options.keywords, job.options.words) == ("de", ("Contoso",), True)
        assert job.audio.uri.startswith("redis:")


async def test_a_url_is_left_to_the_worker(scene: Scene) -> None:
    async with scene.serve() as hearing:
        reply = await transcribe(scene, audio=None, audioUrl="https://example.com/anna")
        assert reply.json()["combinedPhrases"] == [{"text": "anna speaking."}]
        assert hearing.heard[0].audio.uri == "https://example.com/anna"
        # An upload wins over a URL.
        await transcribe(scene, audioUrl="https://example.com/anna")
        assert hearing.heard[1].audio.uri.startswith("redis:")


async def test_refusals_have_the_shape_of_the_service(scene: Scene) -> None:
    async with scene.serve() as hearing:
        for reply, inner in (
            (await transcribe(scene, audio=None), "InvalidPayload"),
            (await transcribe(scene, audio=b"no audio at all, but text"), "InvalidParameterValue"),
            (await transcribe(scene, audio=b""), "InvalidAudio"),
            (await transcribe(scene, diarization={"maxSpeakers": 3}), "NotSupported"),
            (await transcribe(scene, audio=None, audioUrl="https://169.254.169.254/a"), "InvalidRecordingsUri"),
            (await transcribe(scene, audio=None, audioUrl="https://example.com/broken"), "InvalidParameterValue"),
        ):
            assert reply.status_code == 400, reply.text
            assert (reply.json()["code"], reply.json()["innerError"]["code"]) == ("InvalidRequest", inner)
        assert [job.audio.uri for job in hearing.heard] == ["https://example.com/broken"]
        reply = await scene.client.post(URL, params=V, json={})
        assert (reply.status_code, reply.json()["code"]) == (415, "UnsupportedMediaType")


async def test_large_bodies_are_taken_here_and_nowhere_else(open_scene: OpenScene) -> None:
    big = WAV + b"\0" * (27 * 2**20)
    async with open_scene() as scene, scene.serve():
        assert (await transcribe(scene, audio=big)).status_code == 200
        other = await scene.client.post("/v1/audio/transcriptions", files={"file": big}, data={"model": "whisper-1"})
        assert other.status_code == 413
