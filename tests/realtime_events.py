"""Server events of the realtime API, held to the types of the official SDK."""

from __future__ import annotations

import functools
from collections.abc import Iterable, Mapping
from typing import Any, Literal, get_args

import pydantic
from openai.types.beta.realtime import realtime_server_event as beta
from openai.types.realtime import realtime_server_event as ga

Dialect = Literal["ga", "beta"]
Event = dict[str, Any]

_BESIDE = {
    "ga": ("session.object", "session.id", "session.expires_at"),
    "beta": ("session.object", "session.id", "session.expires_at", "session.input_audio_noise_reduction"),
}
"""What the service sends though the SDK's types do not name it."""


def check_event(event: Mapping[str, Any], *, dialect: Dialect = "ga") -> None:
    """Hold an event to its type: every value of the right type, and none that the type does not know.

    Raises `AssertionError`, or pydantic's error.
    """
    kind = _types(dialect).get(event.get("type", ""))
    assert kind is not None, f"no type of event: {event}"
    assert isinstance(event.get("event_id"), str), f"no event_id: {event}"
    known = kind.model_validate(_with_a_known_model(event) if dialect == "beta" else event, strict=True)
    strange = [path for path in _unknown(known, "") if path not in _BESIDE[dialect]]
    assert not strange, f"{event['type']} has {', '.join(strange)}"


def _with_a_known_model(event: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return an event of the beta with a model that its types know: a deployment may have any name."""
    session = event.get("session")
    return {**event, "session": {**session, "model": "gpt-realtime"}} if session and "model" in session else event


@functools.cache
def _types(dialect: Dialect) -> dict[str, type[pydantic.BaseModel]]:
    union = ga.RealtimeServerEvent if dialect == "ga" else beta.RealtimeServerEvent
    members: tuple[type[pydantic.BaseModel], ...] = get_args(get_args(union)[0])
    return {get_args(member.model_fields["type"].annotation)[0]: member for member in members}


def _unknown(value: Any, path: str) -> Iterable[str]:
    if isinstance(value, pydantic.BaseModel):
        prefix = f"{path}." if path else ""
        yield from (f"{prefix}{name}" for name in value.model_extra or ())
        for name in type(value).model_fields:
            yield from _unknown(getattr(value, name), f"{prefix}{name}")
    elif isinstance(value, list):
        for each in value:
            yield from _unknown(each, path)
