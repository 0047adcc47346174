"""The beta dialect of the protocol, spoken at the edge: everything behind it knows the GA one only."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from antiphon.given import Given
from antiphon.realtime.beta_items import beta_item, ga_item, ga_items
from antiphon.realtime.beta_names import NOT_IN_BETA, PATHS, SERVER_EVENTS
from antiphon.realtime.beta_session import (
    TEMPERATURE,
    flat_response,
    flat_session,
    nested_response,
    nested_session,
    read_temperature,
)

_OWN_ID = "antiphon_beta_"
_ROOTS = ("session", "response")


def speaks_ga(event: Mapping[str, Any]) -> bool:
    """Tell whether a client event is a `session.update` that only a client of the GA dialect would send."""
    session = event.get("session")
    return (
        event.get("type") == "session.update"
        and isinstance(session, dict)
        and ("type" in session or "audio" in session)
    )


class BetaDialect:
    """Translates the events of one connection, both ways.

    The temperature, which GA has not, is remembered here: it changes when the update that sets it is answered.
    """

    def __init__(self, *, kind: str = "realtime") -> None:
        self._kind = kind
        self._temperature = TEMPERATURE
        self._asked = 0
        self._updates: list[tuple[str, float | None]] = []

    def to_ga(self, event: dict[str, Any]) -> dict[str, Any]:
        """Return a client event in the GA dialect; what is not understood stays as it is, to be refused as GA does.

        Raises `InvalidRequest` for what GA has no words for.
        """
        match event.get("type"):
            case "session.update":
                return self._update(event, self._kind)
            case "transcription_session.update":
                return self._update({**event, "type": "session.update"}, "transcription")
            case "response.create" if isinstance(event.get("response"), dict):
                response = nested_response(event["response"])
                if isinstance(response, dict) and "input" in response:
                    response["input"] = ga_items(response["input"])
                return {**event, "response": response}
            case "conversation.item.create" if "item" in event:
                return {**event, "item": ga_item(event["item"])}
            case _:
                return event

    def from_ga(self, event: dict[str, Any]) -> list[dict[str, Any]]:
        """Return the server events to send in place of one of the GA dialect; none if beta has no such event."""
        kind = event["type"]
        if kind in NOT_IN_BETA:
            return []
        renamed = {**event, "type": SERVER_EVENTS.get(kind, kind)}
        match kind:
            case "session.created" | "session.updated":
                return [self._session(renamed)]
            case "response.created" | "response.done":
                return [renamed | {"response": self._response(event["response"])}]
            case "response.function_call_arguments.done":
                renamed.pop("name", None)
            case "conversation.item.input_audio_transcription.completed":
                renamed.pop("languages", None)
            case "error":
                return [renamed | {"error": self._error(event["error"])}]
            case _ if "item" in event:
                item = beta_item(event["item"])
                return [] if item is None else [renamed | {"item": item}]
        return [renamed]

    def _update(self, event: dict[str, Any], kind: str) -> dict[str, Any]:
        session = event.get("session")
        temperature = None
        if isinstance(session, dict) and "temperature" in session and kind == "realtime":
            temperature = read_temperature(Given(session["temperature"], "session.temperature"))
        nested = nested_session(session, kind)
        # An update that has no id gets one, to know which of them an error is about.
        event_id = event.get("event_id")
        if event_id is None:
            self._asked += 1
            event_id = f"{_OWN_ID}{self._asked}"
        self._updates.append((str(event_id), temperature))
        return {**event, "event_id": event_id, "session": nested}

    def _session(self, event: dict[str, Any]) -> dict[str, Any]:
        session = event["session"]
        self._kind = session["type"]
        if event["type"] == "session.updated":
            # Updates are answered in the order in which they came.
            if self._updates:
                _, temperature = self._updates.pop(0)
                self._temperature = self._temperature if temperature is None else temperature
            if self._kind == "transcription":
                event = {**event, "type": "transcription_session.updated"}
        return {**event, "session": flat_session(session, temperature=self._temperature)}

    def _response(self, response: Mapping[str, Any]) -> dict[str, Any]:
        flat = flat_response(response, temperature=self._temperature)
        items = (beta_item(item) for item in response.get("output", ()))
        return flat | {"output": [item for item in items if item is not None]}

    def _error(self, error: Mapping[str, Any]) -> dict[str, Any]:
        event_id = error.get("event_id")
        for update in self._updates:
            if update[0] == event_id:
                self._updates.remove(update)
                break
        own = isinstance(event_id, str) and event_id.startswith(_OWN_ID)
        mapped = {**error, "event_id": None} if own else dict(error)
        param = error.get("param")
        if isinstance(param, str) and (path := _flat_path(param)) != param:
            mapped["param"] = path
            mapped["message"] = str(error.get("message", "")).replace(f"'{param}", f"'{path}")
        return mapped


def _flat_path(param: str) -> str:
    root, _, path = param.partition(".")
    if root not in _ROOTS:
        return param
    for nested, flat in PATHS.items():
        if path == nested or path.startswith((f"{nested}.", f"{nested}[")):
            inner = path[len(nested) :]
            # A format is an object in GA, but a word here.
            return f"{root}.{flat}" if flat.endswith("_format") else f"{root}.{flat}{inner}"
    return param
