"""The dialect of one connection: what is behind the door knows the GA one only."""

from __future__ import annotations

import binascii
from typing import Any

import orjson

from antiphon.bus import SessionOutput
from antiphon.realtime.beta import BetaDialect, speaks_ga
from services.ingest.realtime.handshake import Dialect

_NO_SOUND = b'"delta":""'
_GA_RESPONSE = ("output_modalities", "audio")


class Interpreter:
    """Translates between a connection and the bus, in both directions."""

    def __init__(self, dialect: Dialect, *, kind: str = "realtime") -> None:
        """`kind` is the type of the session."""
        self._beta = None if dialect == "ga" else BetaDialect(kind=kind)
        self._undecided = dialect == "undecided"

    @property
    def speaks_beta(self) -> bool:
        """Whether client events have to be translated."""
        return self._beta is not None

    def inward(self, event: dict[str, Any]) -> dict[str, Any]:
        """Return a client event in the GA dialect. Raises `InvalidRequest` for what GA has no words for."""
        if self._undecided:
            self._decide(event)
        return event if self._beta is None else self._beta.to_ga(event)

    def outward(self, output: SessionOutput) -> list[str]:
        """Return the messages that the client is sent for a server event."""
        if self._beta is None:
            return [_sounding(output.data, output.audio)]
        events = self._beta.from_ga(orjson.loads(output.data))
        return [_sounding(orjson.dumps(event), output.audio) for event in events]

    def _decide(self, event: dict[str, Any]) -> None:
        """Official clients of the GA dialect use the URL of the beta on Azure: tell them by their words."""
        verdict = is_ga(event)
        if verdict:
            self._beta = None
        if verdict is not None:
            self._undecided = False


def is_ga(event: dict[str, Any]) -> bool | None:
    """Tell whether a client event is in the GA dialect rather than in the beta one; None if it might be both.

    >>> is_ga({"type": "session.update", "session": {"type": "realtime"}}), is_ga({"type": "response.create"})
    (True, None)
    """
    if event.get("type") == "session.update":
        return speaks_ga(event)
    response = event.get("response")
    names_ga = isinstance(response, dict) and any(name in response for name in _GA_RESPONSE)
    return True if names_ga else None


def _sounding(data: bytes, audio: bytes) -> str:
    """Return an event as text, with its sound in base64 where it belongs; the event itself is not parsed for that."""
    if audio:
        sound = binascii.b2a_base64(audio, newline=False)
        data = data.replace(_NO_SOUND, b'"delta":"%b"' % sound, 1)
    return data.decode()
