"""Signatures, judged by the official client."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import time

import pytest
from openai import InvalidWebhookSignatureError, OpenAI

from antiphon.errors import InvalidValue
from antiphon.schemas import JobEvent, Outcome
from antiphon.webhooks.messages import job_message
from antiphon.webhooks.signing import hint_of, key_of, new_secret, sign, sign_azure

pytestmark = pytest.mark.unit

BODY = '{"object":"event","text":"Grüße, 世界"}'.encode()


def unwrap(body: bytes, headers: dict[str, str], secret: str) -> object:
    client = OpenAI(api_key="sk-none", base_url="http://127.0.0.1:9/v1", webhook_secret=secret)
    return client.webhooks.unwrap(body, headers)


def verify(body: bytes, headers: dict[str, str], secret: str) -> None:
    OpenAI(api_key="sk-none", base_url="http://127.0.0.1:9/v1").webhooks.verify_signature(body, headers, secret=secret)


@pytest.mark.parametrize("secret", [new_secret(), "any text, ünlike base64"])
def test_the_official_client_verifies_what_is_signed(secret: str) -> None:
    headers = sign([secret], event_id="evt_1", timestamp_s=int(time.time()), body=BODY)
    verify(BODY, headers, secret)


def test_the_official_client_refuses_a_body_that_was_changed() -> None:
    secret = new_secret()
    headers = sign([secret], event_id="evt_1", timestamp_s=int(time.time()), body=BODY)
    with pytest.raises(InvalidWebhookSignatureError):
        verify(BODY + b" ", headers, secret)


def test_both_secrets_verify_while_two_are_valid() -> None:
    new, old = new_secret(), new_secret()
    headers = sign([new, old], event_id="evt_1", timestamp_s=int(time.time()), body=BODY)
    assert len(headers["webhook-signature"].split(" ")) == 2
    verify(BODY, headers, new)
    verify(BODY, headers, old)
    with pytest.raises(InvalidWebhookSignatureError):
        verify(BODY, headers, new_secret())


def test_what_is_signed_is_id_time_and_body() -> None:
    secret = new_secret()
    headers = sign([secret], event_id="evt_7", timestamp_s=1_790_000_000, body=b"{}")
    expected = hmac.new(base64.b64decode(secret[6:]), b"evt_7.1790000000.{}", hashlib.sha256).digest()
    assert headers == {
        "webhook-id": "evt_7",
        "webhook-timestamp": "1790000000",
        "webhook-signature": f"v1,{base64.b64encode(expected).decode()}",
    }


def test_without_a_secret_there_is_no_signature() -> None:
    assert set(sign([], event_id="evt_1", timestamp_s=1, body=b"{}")) == {"webhook-id", "webhook-timestamp"}


def test_the_official_client_unwraps_an_event_it_does_not_know() -> None:
    secret = new_secret()
    event = JobEvent(
        id="evt_1",
        type="job.completed",
        created_ms=1_790_000_000_500,
        kind="transcribe",
        tenant="t",
        job_id="job_1",
        status="completed",
        attempts=1,
        job_created_ms=1_789_999_999_000,
        finished_ms=1_790_000_000_400,
        metadata={"order": "17"},
    )
    outcome = Outcome(id="job_1", status="completed", result={"text": "Hello.", "language": "en", "duration": 1.5})
    message = job_message(event, outcome)
    body = message.body.encode()
    headers = sign([secret], event_id=message.event_id, timestamp_s=int(time.time()), body=body)
    unwrapped = unwrap(body, headers, secret)
    assert unwrapped.id == "evt_1"  # type: ignore[attr-defined]
    assert unwrapped.type == "job.completed"  # type: ignore[attr-defined]
    assert unwrapped.created_at == 1_790_000_000  # type: ignore[attr-defined]
    assert unwrapped.data.id == "job_1"  # type: ignore[attr-defined]
    # What the client's own types do not have is kept as it came.
    assert unwrapped.to_dict()["data"] == json.loads(body)["data"]  # type: ignore[attr-defined]


@pytest.mark.parametrize("secret", ["", "whsec_", "whsec_not base64!"])
def test_what_is_no_secret_is_refused(secret: str) -> None:
    with pytest.raises(InvalidValue) as refused:
        key_of(secret)
    assert refused.value.param == "secret"


def test_a_hint_gives_away_four_characters_of_a_long_secret_and_none_of_a_short_one() -> None:
    secret = new_secret()
    assert hint_of(secret) == secret[-4:]
    assert hint_of("short") is None


def test_azure_signs_the_body_alone_with_the_secret_as_text() -> None:
    expected = hmac.new(b"whsec_c2VjcmV0", BODY, hashlib.sha256).digest()
    assert sign_azure("whsec_c2VjcmV0", BODY) == base64.b64encode(expected).decode()
