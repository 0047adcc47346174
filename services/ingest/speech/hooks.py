"""Webhook registrations of Azure AI Speech, kept as endpoints of its dialect."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from antiphon.errors import InvalidRequest, InvalidValue
from antiphon.given import missing
from antiphon.webhooks import AZURE_EVENTS, Endpoint
from services.ingest.errors_speech import NotServed
from services.ingest.parameters.fields import Members, no_longer_than
from services.ingest.speech.address import Address
from services.ingest.speech.definition import (
    MAX_DESCRIPTION_CHARACTERS,
    MAX_NAME_CHARACTERS,
    MAX_URL_CHARACTERS,
    read_custom_properties,
)
from services.ingest.speech.filters import Property
from services.ingest.speech.times import write_time

HOOK_PROPERTIES: dict[str, Property] = {
    "displayName": "text",
    "description": "text",
    "createdDateTime": "time",
    "lastActionDateTime": "time",
    "status": "text",
    "webUrl": "text",
}
"""What lists of registrations may be filtered by."""

TRANSCRIPTION_EVENTS = tuple(name for name in AZURE_EVENTS if name.startswith("transcription"))
_MAX_SECRET_CHARACTERS = 256


@dataclass(frozen=True)
class HookChange:
    """What a registration sets; None where a PATCH leaves things as they are. An empty secret is none."""

    name: str | None
    url: str | None
    event_types: tuple[str, ...] | None
    secret: str | None
    definition: dict[str, Any]


def read_hook(values: Mapping[str, Any]) -> HookChange:
    """Check the body that registers a webhook. Raises `MissingParameter`, `InvalidValue`, `UnsupportedValue`."""
    for name in ("displayName", "webUrl", "events"):
        if values.get(name) is None:
            raise missing(name)
    return read_hook_change(values)


def read_hook_change(values: Mapping[str, Any]) -> HookChange:
    """Check the body that changes a registration. Raises `InvalidValue`, `UnsupportedValue`."""
    members = Members(values)
    events = _events(values.get("events"))
    definition: dict[str, Any] = {}
    if events is not None:
        definition["events"] = events
    if "description" in values:
        definition["description"] = _bounded(members, "description", MAX_DESCRIPTION_CHARACTERS)
    if "customProperties" in values:
        definition["customProperties"] = read_custom_properties(values["customProperties"])
    return HookChange(
        name=_bounded(members, "displayName", MAX_NAME_CHARACTERS),
        url=_bounded(members, "webUrl", MAX_URL_CHARACTERS),
        event_types=None if events is None else tuple(name for name in AZURE_EVENTS if events.get(name)),
        secret=_secret(values.get("properties")),
        definition=definition,
    )


def hook_object(endpoint: Endpoint, address: Address) -> dict[str, Any]:
    """Return a registration as its owner sees it, without its secret."""
    kept = endpoint.definition
    body: dict[str, Any] = {
        "self": address.url("webhooks", endpoint.id),
        "displayName": endpoint.name,
        "webUrl": endpoint.url,
        "events": kept.get("events") or dict.fromkeys(endpoint.event_types, True),
        "properties": {"apiVersion": address.version or address.api_version},
        "createdDateTime": write_time(endpoint.created_at * 1000),
        "lastActionDateTime": write_time(endpoint.updated_at * 1000),
        "status": _status(endpoint),
        "links": {
            "ping": address.url("webhooks", f"{endpoint.id}:ping"),
            "test": address.url("webhooks", f"{endpoint.id}:test"),
        },
    }
    return body | {name: kept[name] for name in ("description", "customProperties") if kept.get(name)}


def hook_row(endpoint: Endpoint) -> dict[str, Any]:
    """Return what a registration is filtered by."""
    return {
        "displayName": endpoint.name,
        "description": endpoint.definition.get("description"),
        "createdDateTime": endpoint.created_at,
        "lastActionDateTime": endpoint.updated_at,
        "status": _status(endpoint),
        "webUrl": endpoint.url,
    }


def require_validated(endpoint: Endpoint) -> None:
    """Raise `InvalidRequest` for an address that has not met its challenge: it may not want our requests."""
    if not endpoint.validated:
        raise InvalidRequest("The web hook has not been validated yet: its URL must answer the challenge first.")


def _status(endpoint: Endpoint) -> str:
    if not endpoint.enabled:
        return "Failed"
    return "Succeeded" if endpoint.validated else "NotStarted"


def _events(value: object) -> dict[str, bool] | None:
    if value is None:
        return None
    if not isinstance(value, dict) or not all(isinstance(wanted, bool) for wanted in value.values()):
        raise InvalidValue("Invalid type for 'events': expected an object of booleans.", param="events")
    events = {name: True for name, wanted in value.items() if wanted}
    if not any(name in AZURE_EVENTS for name in events):
        raise NotServed(f"Invalid 'events': at least one of {', '.join(AZURE_EVENTS)} must be true.", param="events")
    if len(events) > len(AZURE_EVENTS) * 8:
        raise InvalidValue("Invalid 'events': too many.", param="events")
    return events


def _secret(properties: object) -> str | None:
    if properties is None:
        return None
    if not isinstance(properties, dict):
        raise InvalidValue("Invalid type for 'properties': expected an object.", param="properties")
    secret = Members(properties).text("secret") or ""
    return no_longer_than("properties.secret", secret, _MAX_SECRET_CHARACTERS)


def _bounded(members: Members, name: str, maximum: int) -> str | None:
    text = members.text(name)
    return None if text is None else no_longer_than(name, text, maximum)
