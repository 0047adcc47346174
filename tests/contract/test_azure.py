"""The dated routes through the official Azure client, and its errors."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import httpx
import openai
import pytest

pytestmark = [pytest.mark.contract, pytest.mark.timeout(300)]

VERSION = "2024-10-21"


@pytest.fixture
def clip(clips: Path) -> Path:
    return clips / "en/hello_world.wav"


def test_the_model_becomes_the_deployment(azure: openai.AzureOpenAI, clip: Path) -> None:
    for name in ("whisper", "my whisper"):
        heard = azure.audio.transcriptions.create(model=name, file=clip)
        assert "world" in heard.text.lower()
        assert heard.usage is not None
        assert heard.usage.type == "duration"


def test_a_deployment_of_the_client_wins_over_the_model(platform: Any, clip: Path) -> None:
    with openai.AzureOpenAI(
        azure_endpoint=platform.root_url,
        azure_deployment="my whisper",
        api_key=platform.api_key,
        api_version=VERSION,
        max_retries=0,
    ) as azure:
        heard = azure.audio.transcriptions.create(model="nobody", file=clip, response_format="text")
        assert isinstance(heard, str)
        assert "world" in heard.lower()
        assert azure.models.list().data


async def test_speech_and_streams_work_asynchronously(platform: Any, clip: Path) -> None:
    async with openai.AsyncAzureOpenAI(
        azure_endpoint=platform.root_url, api_key=platform.api_key, api_version=VERSION, max_retries=0
    ) as azure:
        speech = await azure.audio.speech.create(model="my voice", voice="nova", input="Hello.")
        assert speech.response.headers["content-type"] == "audio/mpeg"
        stream = await azure.audio.transcriptions.create(model="gpt-4o-transcribe", file=clip, stream=True)
        kinds = [event.type async for event in stream]
    assert kinds[-1] == "transcript.text.done"


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_translations_have_a_deployment_too(azure: openai.AzureOpenAI, clips: Path) -> None:
    translation = azure.audio.translations.create(model="whisper", file=clips / "es/hola_mundo.wav")
    assert translation.text


def test_a_token_is_taken_for_a_key(platform: Any, clip: Path) -> None:
    with openai.AzureOpenAI(
        azure_endpoint=platform.root_url,
        azure_ad_token_provider=lambda: platform.api_key,
        api_version=VERSION,
        max_retries=0,
    ) as azure:
        assert azure.audio.transcriptions.create(model="whisper", file=clip).text


def test_the_v1_route_of_azure_is_the_openai_api(platform: Any, clip: Path) -> None:
    with openai.OpenAI(
        base_url=f"{platform.root_url}/openai/v1", api_key=platform.api_key, default_query={"api-version": "preview"}
    ) as client:
        assert client.audio.transcriptions.create(model="gpt-4o-transcribe", file=clip).text
        assert client.models.retrieve("whisper-1").id == "whisper-1"


def test_an_unknown_deployment_is_told_in_the_words_of_the_gateway(azure: openai.AzureOpenAI, clip: Path) -> None:
    with pytest.raises(openai.NotFoundError) as raised:
        azure.audio.transcriptions.create(model="nobody", file=clip)
    assert raised.value.code == "DeploymentNotFound"
    assert raised.value.response.headers["apim-request-id"]
    with pytest.raises(openai.NotFoundError):
        azure.audio.speech.create(model="nobody", voice="alloy", input="Hello.")


def test_a_wrong_key_is_told_in_the_words_of_the_gateway(platform: Any, clip: Path) -> None:
    with (
        openai.AzureOpenAI(
            azure_endpoint=platform.root_url, api_key="wrong", api_version=VERSION, max_retries=0
        ) as azure,
        pytest.raises(openai.AuthenticationError) as raised,
    ):
        azure.audio.transcriptions.create(model="whisper", file=clip)
    assert raised.value.code == "401"
    assert "Access denied due to invalid subscription key" in raised.value.message


def test_a_missing_version_is_not_found(http: httpx.Client, clip: Path) -> None:
    reply = http.post("/openai/deployments/whisper/audio/transcriptions", files={"file": clip.read_bytes()})
    assert reply.status_code == 404
    assert reply.json() == {"error": {"code": "404", "message": "Resource not found"}}


def test_a_wrong_value_keeps_the_shape_of_openai(azure: openai.AzureOpenAI, clip: Path) -> None:
    with pytest.raises(openai.BadRequestError) as raised:
        azure.audio.transcriptions.create(model="whisper", file=clip, temperature=7)
    assert (raised.value.param, raised.value.code) == ("temperature", "invalid_value")
