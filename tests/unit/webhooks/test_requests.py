"""What is posted."""

from __future__ import annotations

import base64
import hashlib
import hmac
from typing import Any

import pytest

from antiphon import __version__
from antiphon.schemas import WebhookJob
from services.webhooks.requests import Receiver, request_of

pytestmark = pytest.mark.unit


def job(**fields: Any) -> WebhookJob:
    given: dict[str, Any] = {"event_id": "evt_1", "event_type": "job.completed", "body": '{"text":"ü"}'}
    return WebhookJob(**(given | fields))


def test_a_request_says_who_sends_it_and_has_the_time_of_the_attempt() -> None:
    receiver = Receiver(url="https://example.com/hook", secrets=("one", "two"))
    request = request_of(job(), receiver, now_s=1_790_000_000)
    assert request.url == "https://example.com/hook"
    assert request.body == '{"text":"ü"}'.encode()
    assert request.headers["user-agent"] == f"Antiphon/{__version__}"
    assert request.headers["content-type"] == "application/json"
    assert request.headers["webhook-timestamp"] == "1790000000"
    assert len(request.headers["webhook-signature"].split()) == 2


def test_azure_has_headers_of_its_own() -> None:
    receiver = Receiver(url="https://example.com/hook", secrets=("secret",), dialect="azure")
    request = request_of(job(event_type="transcriptionCompletion"), receiver, now_s=1)
    assert request.headers["X-MicrosoftSpeechServices-Event"] == "TranscriptionCompletion"
    expected = hmac.new(b"secret", request.body, hashlib.sha256).digest()
    assert request.headers["X-MicrosoftSpeechServices-Signature"] == base64.b64encode(expected).decode()
    assert not any(name.startswith("webhook-") for name in request.headers)


@pytest.mark.parametrize(
    ("url", "asked"),
    [
        ("https://example.com/hook", "https://example.com/hook?validationToken=a%2Fb%3D"),
        ("https://example.com/hook?code=1#part", "https://example.com/hook?code=1&validationToken=a%2Fb%3D"),
    ],
)
def test_a_challenge_carries_its_token_in_the_address(url: str, asked: str) -> None:
    receiver = Receiver(url=url, secrets=(), dialect="azure")
    challenge = job(event_type="challenge", metadata={"purpose": "challenge", "token": "a/b="})
    request = request_of(challenge, receiver, now_s=1)
    assert request.url == asked
    assert request.headers["X-MicrosoftSpeechServices-Event"] == "Challenge"
