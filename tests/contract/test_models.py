"""`/models`, health and headers."""

from __future__ import annotations

from typing import Any

import httpx
import openai
import pytest

pytestmark = [pytest.mark.contract, pytest.mark.timeout(300)]


def test_all_names_that_clients_send_are_listed(client: openai.OpenAI, azure: openai.AzureOpenAI) -> None:
    for each in (client, azure):
        names = {model.id for model in each.models.list()}
        assert {"whisper-1", "gpt-4o-transcribe", "gpt-transcribe", "tts-1", "gpt-4o-mini-tts", "whisper"} <= names


def test_one_model_is_described(client: openai.OpenAI) -> None:
    model = client.models.retrieve("whisper-1")
    assert (model.id, model.object) == ("whisper-1", "model")
    assert model.created > 0
    with pytest.raises(openai.NotFoundError) as raised:
        client.models.retrieve("nobody")
    assert raised.value.code == "model_not_found"


def test_health_needs_no_key(platform: Any) -> None:
    for path in ("/healthz", "/readyz"):
        assert httpx.get(platform.root_url + path, trust_env=False).status_code == 200


def test_every_answer_has_an_id(client: openai.OpenAI) -> None:
    reply = client.models.with_raw_response.list()
    assert reply.headers["x-request-id"]
    assert reply.headers["openai-version"] == "2020-10-01"
    assert int(reply.headers["openai-processing-ms"]) >= 0


def test_a_key_is_needed(platform: Any) -> None:
    with (
        openai.OpenAI(base_url=platform.base_url, api_key="sk-wrong-0123456789", max_retries=0) as client,
        pytest.raises(openai.AuthenticationError) as raised,
    ):
        client.models.list()
    assert raised.value.code == "invalid_api_key"
    assert "sk-wrong-0123456789" not in raised.value.message
