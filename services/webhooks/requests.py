"""What is posted to a receiver: address, headers, body. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self
from urllib.parse import quote

from antiphon.schemas import WebhookJob
from antiphon.webhooks.deliveries import TOKEN
from antiphon.webhooks.endpoints import Dialect, Endpoint
from antiphon.webhooks.signing import USER_AGENT, sign, sign_azure


@dataclass(frozen=True, slots=True, kw_only=True)
class Receiver:
    """Where a delivery goes, and how it is signed at this moment."""

    url: str
    secrets: tuple[str, ...]
    dialect: Dialect = "standard"

    @classmethod
    def of(cls, endpoint: Endpoint, *, now_ms: int) -> Self:
        """Return a registered receiver with the secrets that are valid now."""
        return cls(url=endpoint.url, secrets=endpoint.secrets(now_ms), dialect=endpoint.dialect)


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """One attempt, ready to be posted."""

    url: str
    headers: dict[str, str]
    body: bytes


def request_of(job: WebhookJob, receiver: Receiver, *, now_s: int) -> Request:
    """Return the request of an attempt at `now_s`. Raises `InvalidValue` for a secret that is not one."""
    body = job.body.encode()
    headers = {"content-type": "application/json", "user-agent": USER_AGENT}
    if receiver.dialect == "standard":
        headers |= sign(receiver.secrets, event_id=job.event_id, timestamp_s=now_s, body=body)
    else:
        # `transcriptionCompletion` in a registration is `TranscriptionCompletion` in a delivery.
        headers["X-MicrosoftSpeechServices-Event"] = job.event_type[:1].upper() + job.event_type[1:]
        if receiver.secrets:
            headers["X-MicrosoftSpeechServices-Signature"] = sign_azure(receiver.secrets[0], body)
    url = receiver.url
    if token := job.metadata.get(TOKEN):
        url = _with_query(url, f"validationToken={quote(token, safe='')}")
    return Request(url=url, headers=headers, body=body)


def _with_query(url: str, query: str) -> str:
    base, _, _ = url.partition("#")
    return f"{base}{'&' if '?' in base else '?'}{query}"
