"""What is kept of a session while it grows, and what is told of it besides."""

from __future__ import annotations

from typing import Any

from antiphon.errors import InvalidValue
from antiphon.given import Given

INCLUDE_LOGPROBS = "item.input_audio_transcription.logprobs"

_MOST_TOKENS = 2**31
_LONGEST_NAME = 512
_AUTO = "auto"


def read_truncation(given: Given) -> str | dict[str, Any]:
    """Return what to do with a conversation that has grown too long. Raises `InvalidRequest`, as all of these do."""
    if given.is_null:
        return _AUTO
    if isinstance(given.value, str):
        return given.choice((_AUTO, "disabled"))
    if not isinstance(given.value, dict):
        raise given.wrong_type("one of a string or an object")
    members = given.filled(("type", "retention_ratio", "token_limits"))
    truncation: dict[str, Any] = {
        "type": given.required("type").choice(("retention_ratio",)),
        "retention_ratio": given.required("retention_ratio").number(minimum=0.0, maximum=1.0),
    }
    if "token_limits" in members:
        limits = members["token_limits"].filled(("post_instructions",))
        truncation["token_limits"] = {
            name: limit.integer(minimum=0, maximum=_MOST_TOKENS) for name, limit in limits.items()
        }
    return truncation


def read_include(given: Given) -> list[str] | None:
    """Return what server events are to tell besides."""
    if given.is_null:
        return None
    included = [item.choice((INCLUDE_LOGPROBS,)) for item in given.items(of="strings", most=16)]
    return list(dict.fromkeys(included))


def merge_tracing(before: str | dict[str, Any] | None, given: Given) -> str | dict[str, Any] | None:
    """Return what becomes of the tracing `before`, which stays as it is once it is on."""
    tracing = _tracing(given)
    if before is not None and tracing != before:
        raise InvalidValue("Cannot update the tracing configuration once tracing is enabled.", param=given.param)
    return tracing


def _tracing(given: Given) -> str | dict[str, Any] | None:
    if given.is_null:
        return None
    if isinstance(given.value, str):
        return given.choice((_AUTO,))
    if not isinstance(given.value, dict):
        raise given.wrong_type("one of a string or an object")
    members = given.filled(("workflow_name", "group_id", "metadata"))
    return {
        name: member.json_object() if name == "metadata" else member.text(longest=_LONGEST_NAME)
        for name, member in members.items()
    }
