"""Links that open one file without a key until they expire: an HMAC over the path and the time."""

from __future__ import annotations

import base64
import hashlib
import hmac
from dataclasses import dataclass
from urllib.parse import urlencode

from starlette.datastructures import QueryParams

from antiphon.errors import InvalidValue
from services.ingest.errors_speech import LinkRefused

DEFAULT_LIFETIME_MINUTES = 12 * 60
MAX_LIFETIME_MINUTES = 31 * 24 * 60

_EXPIRY = "se"
_SIGNATURE = "sig"


@dataclass(frozen=True)
class Signer:
    """Signs paths with a secret that all processes of the platform share."""

    secret: bytes

    def sign(self, path: str, *, expires_s: int) -> str:
        """Return the query that opens `path` until `expires_s`, in epoch seconds."""
        return urlencode({_EXPIRY: expires_s, _SIGNATURE: self._signature(path, str(expires_s))})

    def check(self, path: str, query: QueryParams, *, now_s: float) -> None:
        """Raise `LinkRefused` unless `query` opens `path` now."""
        expiry, signature = query.get(_EXPIRY, ""), query.get(_SIGNATURE, "")
        if not hmac.compare_digest(signature.encode(), self._signature(path, expiry).encode()):
            raise LinkRefused("The signature of this link is not valid.")
        if now_s >= int(expiry):
            raise LinkRefused("This link has expired. Ask for the files of the transcription again.")

    def _signature(self, path: str, expiry: str) -> str:
        digest = hmac.digest(self.secret, f"{path}\n{expiry}".encode(), hashlib.sha256)
        return base64.urlsafe_b64encode(digest).rstrip(b"=").decode()


def read_lifetime_s(query: QueryParams, *, legacy: bool) -> int:
    """Return how long links are to open, in seconds. Raises `InvalidValue`."""
    name, unit_s = ("sasValidityInSeconds", 1) if legacy else ("sasLifetimeMinutes", 60)
    value = query.get(name)
    if value is None:
        return DEFAULT_LIFETIME_MINUTES * 60
    maximum = MAX_LIFETIME_MINUTES * 60 // unit_s
    if not (value.isascii() and value.isdecimal() and len(value) < 12 and 1 <= int(value) <= maximum):
        raise InvalidValue(f"Invalid value for '{name}': expected an integer between 1 and {maximum}.", param=name)
    return int(value) * unit_s
