"""How the turns of a speaker are told apart: by silence, by what was said, or by the client itself."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from antiphon.given import Given, missing

EAGERNESS = ("low", "medium", "high", "auto")
LONGEST_MS = 10_000
IDLE_TIMEOUT_MS = (5_000, 30_000)

_KINDS = ("server_vad", "semantic_vad")
_OFF = "none"
_BOTH = ("create_response", "interrupt_response")
_SERVER_VAD = ("threshold", "prefix_padding_ms", "silence_duration_ms", "idle_timeout_ms")
_OWN = {"server_vad": _SERVER_VAD, "semantic_vad": ("eagerness",)}
_ANSWERING = (*_BOTH, "idle_timeout_ms")
_TOLERATED = ("modelVersion", "model_version")


def server_vad(*, silence_duration_ms: int) -> dict[str, Any]:
    """Return detection by silence, with what holds where nothing is said."""
    return {
        "type": "server_vad",
        "threshold": 0.5,
        "prefix_padding_ms": 300,
        "silence_duration_ms": silence_duration_ms,
        "idle_timeout_ms": None,
        "create_response": True,
        "interrupt_response": True,
    }


def semantic_vad() -> dict[str, Any]:
    """Return detection by what was said, with what holds where nothing is said."""
    return {"type": "semantic_vad", "eagerness": "auto", "create_response": True, "interrupt_response": True}


def without_answering(detection: Mapping[str, Any]) -> dict[str, Any]:
    """Return `detection` for a session that never answers."""
    return {name: value for name, value in detection.items() if name not in _ANSWERING}


def merge_turn_detection(
    before: Mapping[str, Any] | None, given: Given, *, silence_duration_ms: int
) -> dict[str, Any] | None:
    """Return what becomes of `before`; another type begins anew but for what both types have. None is off.

    Raises `InvalidRequest`.
    """
    if given.is_null:
        return None
    if "type" in given.object():
        kind = given.required("type").choice((*_KINDS, _OFF))
    elif before is None:
        raise missing(f"{given.param}.type")
    else:
        kind = before["type"]
    if kind == _OFF:
        return None
    members = given.members(("type", *_OWN[kind], *_BOTH), tolerated=(*_TOLERATED, *_nulls(given)))
    detection = server_vad(silence_duration_ms=silence_duration_ms) if kind == "server_vad" else semantic_vad()
    if before is not None:
        kept = before if before["type"] == kind else {name: before[name] for name in _BOTH if name in before}
        detection |= kept
    for name, member in members.items():
        if name == "idle_timeout_ms" or not member.is_null:
            detection[name] = _value(name, member, kind)
    return detection


def _nulls(given: Given) -> list[str]:
    """Return the members of the other type that a client has written out as null."""
    return [name for name in (*_SERVER_VAD, "eagerness") if given.object().get(name, given) is None]


def _value(name: str, given: Given, kind: str) -> Any:
    match name:
        case "type":
            return kind
        case "threshold":
            return given.number(minimum=0.0, maximum=1.0)
        case "prefix_padding_ms" | "silence_duration_ms":
            return given.integer(minimum=0, maximum=LONGEST_MS)
        case "idle_timeout_ms":
            least, most = IDLE_TIMEOUT_MS
            return None if given.is_null else given.integer(minimum=least, maximum=most)
        case "eagerness":
            return given.choice(EAGERNESS)
        case _:
            return given.flag()
