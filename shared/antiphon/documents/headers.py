"""What stands beside `data` in an entry of a stream: the flat fields, as headers of a message. All values are text."""

from __future__ import annotations

from typing import Any

_NUMBER = r"^\d{1,16}$"
_JOB_ID = r"^[A-Za-z0-9_.:-]{1,128}$"


def _text(description: str, *, pattern: str | None = None) -> dict[str, Any]:
    return {"type": "string", "description": description} | ({"pattern": pattern} if pattern else {})


def _fields(properties: dict[str, dict[str, Any]], *, required: tuple[str, ...] = ()) -> dict[str, Any]:
    return {"type": "object", "properties": properties} | ({"required": list(required)} if required else {})


_ID = _text("id of the job", pattern=_JOB_ID)

_JOB = {
    "id": _text("id of the job, when it is not in `data`", pattern=_JOB_ID),
    "reply": _text("name of the stream that gets the outcome", pattern=r"^[A-Za-z0-9_.:-]{1,200}$"),
    "deadline": _text("epoch milliseconds; the earlier of this and `deadline_ms` counts", pattern=_NUMBER),
    "traceparent": _text("W3C trace context"),
    "tracestate": _text("W3C trace context"),
    "attempt": _text("attempts made so far; written by the platform", pattern=_NUMBER),
}

JOB = _fields(_JOB)
REPLY = _fields({"id": _ID}, required=("id",))
OUTPUT = _fields(
    {
        "kind": _text("what `data` is") | {"enum": ["reset", "delta", "progress", "audio", "outcome"]},
        "seq": _text("place in the output, from 0", pattern=_NUMBER),
    },
    required=("kind", "seq"),
)
DEAD = _fields(
    _JOB
    | {
        "id": _ID,
        "error": _text("why it was given up"),
        "attempts": _text("how often it was tried", pattern=_NUMBER),
        "source": _text("the priority it had") | {"enum": ["hi", "std", "bulk"]},
        "worker": _text("who gave it up"),
    },
    required=("error", "attempts", "source", "worker", "id"),
)
