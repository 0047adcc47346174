"""Signatures of deliveries: Standard Webhooks 1.0.0, and the one of Azure AI Speech."""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import secrets as randomness
from typing import TYPE_CHECKING

from antiphon import __version__
from antiphon.errors import InvalidValue

if TYPE_CHECKING:
    from collections.abc import Sequence

USER_AGENT = f"Antiphon/{__version__}"

_PREFIX = "whsec_"
_SECRET_BYTES = 32
_HINT_CHARACTERS = 4
_LEAST_HIDDEN = 8
"""Characters of a secret that no hint gives away; a shorter secret has no hint."""


def new_secret() -> str:
    """Return `whsec_` and 32 random bytes in base64."""
    return _PREFIX + base64.b64encode(randomness.token_bytes(_SECRET_BYTES)).decode()


def hint_of(secret: str) -> str | None:
    """Return the last four characters, by which an owner tells secrets apart; None for one too short to show any."""
    return secret[-_HINT_CHARACTERS:] if len(secret) >= _HINT_CHARACTERS + _LEAST_HIDDEN else None


def key_of(secret: str) -> bytes:
    """Return the key that a secret stands for: what follows `whsec_`, decoded, or any other text in UTF-8.

    Raises `InvalidValue` for an empty one and for `whsec_` with what is not base64.
    """
    if not secret.startswith(_PREFIX):
        key = secret.encode()
    else:
        try:
            key = base64.b64decode(secret.removeprefix(_PREFIX), validate=True)
        except (binascii.Error, ValueError):
            key = b""
    if not key:
        raise InvalidValue(
            "Invalid 'secret': expected 'whsec_' followed by base64, or any other non-empty text.", param="secret"
        )
    return key


def sign(secrets: Sequence[str], *, event_id: str, timestamp_s: int, body: bytes) -> dict[str, str]:
    """Return the headers `webhook-id`, `webhook-timestamp` and `webhook-signature`, one signature for each secret.

    Without secrets there is no signature. Raises `InvalidValue` for a secret that is not one.
    """
    headers = {"webhook-id": event_id, "webhook-timestamp": str(timestamp_s)}
    signed = f"{event_id}.{timestamp_s}.".encode() + body
    if signatures := [f"v1,{_hmac(key_of(secret), signed)}" for secret in secrets]:
        headers["webhook-signature"] = " ".join(signatures)
    return headers


def sign_azure(secret: str, body: bytes) -> str:
    """Return the value of `X-MicrosoftSpeechServices-Signature`. The secret is always taken as text."""
    return _hmac(secret.encode(), body)


def _hmac(key: bytes, content: bytes) -> str:
    return base64.b64encode(hmac.digest(key, content, hashlib.sha256)).decode()
