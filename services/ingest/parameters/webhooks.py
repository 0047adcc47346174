"""Parameters of /webhook_endpoints."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from antiphon.errors import InvalidValue, UnknownParameter
from antiphon.given import missing, shortened
from antiphon.schemas import JOB_EVENTS, JobEventType
from services.ingest.parameters.fields import Members, no_longer_than, one_of

MAX_NAME_CHARACTERS = 256
MAX_URL_CHARACTERS = 2048

_RECEIVER = ("name", "url", "event_types")


@dataclass(frozen=True)
class NewEndpoint:
    """A receiver that somebody wants to register."""

    name: str
    url: str
    event_types: tuple[JobEventType, ...]


@dataclass(frozen=True)
class EndpointChange:
    """What is to be different about a receiver; None is left as it is."""

    name: str | None
    url: str | None
    event_types: tuple[JobEventType, ...] | None


def read_new_endpoint(values: dict[str, Any]) -> NewEndpoint:
    """Check the body that registers a receiver. Raises `MissingParameter`, `InvalidValue`, `UnknownParameter`."""
    change = read_endpoint_change(values)
    if change.url is None:
        raise missing("url")
    if change.event_types is None:
        raise missing("event_types")
    if change.name is None:
        raise missing("name")
    return NewEndpoint(name=change.name, url=change.url, event_types=change.event_types)


def read_endpoint_change(values: dict[str, Any]) -> EndpointChange:
    """Check the body that changes a receiver. Raises `InvalidValue`, `UnknownParameter`."""
    _refuse_unknown(values, _RECEIVER)
    return EndpointChange(
        name=_text(values, "name", maximum=MAX_NAME_CHARACTERS),
        url=_text(values, "url", maximum=MAX_URL_CHARACTERS),
        event_types=_event_types(values.get("event_types")),
    )


def read_rotation(values: dict[str, Any]) -> bool:
    """Tell whether the old secret stays valid for a day. Raises `InvalidValue`, `UnknownParameter`."""
    name = "keep_old_secret_active_for_24_hours"
    _refuse_unknown(values, (name,))
    return Members(values).flag(name, default=True)


def read_test(values: dict[str, Any]) -> JobEventType:
    """Return the type of the event to send. Raises `MissingParameter`, `InvalidValue`, `UnknownParameter`."""
    _refuse_unknown(values, ("event_type",))
    wanted = _text(values, "event_type", maximum=64)
    if wanted is None:
        raise missing("event_type")
    return one_of("event_type", wanted, JOB_EVENTS)


def _event_types(value: object) -> tuple[JobEventType, ...] | None:
    if value is None:
        return None
    if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
        raise InvalidValue("Invalid type for 'event_types': expected an array of strings.", param="event_types")
    if not value:
        raise InvalidValue(
            "Invalid 'event_types': empty array. Expected an array with minimum length 1, but got an empty array "
            "instead.",
            param="event_types",
        )
    return tuple(dict.fromkeys(one_of(f"event_types[{i}]", item, JOB_EVENTS) for i, item in enumerate(value)))


def _text(values: dict[str, Any], name: str, *, maximum: int) -> str | None:
    value = Members(values).text(name)
    if value is None:
        return None
    if not value.strip():
        raise InvalidValue(f"Invalid '{name}': empty string.", param=name)
    no_longer_than(name, value, maximum)
    return value.strip()


def _refuse_unknown(values: dict[str, Any], known: Sequence[str]) -> None:
    for name in values:
        if name not in known:
            raise UnknownParameter(f"Unknown parameter: '{shortened(name)}'.", param=shortened(name))
