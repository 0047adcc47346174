"""How a response is made: options that a session sets for all of its responses, and a response for itself."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from antiphon.errors import InvalidValue
from antiphon.given import Given, listed, shortened

LONGEST_INSTRUCTIONS = 1024 * 1024
MOST_OUTPUT_TOKENS = 4096
SPEEDS = (0.25, 1.5)

_EFFORTS = ("minimal", "low", "medium", "high", "xhigh")
_LONGEST_VOICE = 256
_LONGEST_ID = 512
_METADATA_PAIRS, _METADATA_KEY, _METADATA_VALUE = 16, 64, 512


def read_modalities(given: Given) -> list[str]:
    """Return `["audio"]` or `["text"]`. Raises `InvalidRequest`, as all of these do."""
    modalities = [item.choice(("text", "audio")) for item in given.items(of="strings", most=8)]
    if len(set(modalities)) != 1:
        raise InvalidValue(
            f"Invalid modalities: {modalities}. Supported combinations are: ['text'] and ['audio'].", param=given.param
        )
    return modalities[:1]


def read_instructions(given: Given) -> str:
    """Return instructions; null clears them, as an empty string does."""
    return "" if given.is_null else given.text(longest=LONGEST_INSTRUCTIONS)


def read_voice(given: Given, voices: Collection[str] | None) -> str:
    """Return the name of one of `voices`, which may also be given as `{"id": …}`; any name if `voices` is None."""
    named = given
    if isinstance(given.value, dict):
        given.members(("id",))
        named = given.required("id")
    if not isinstance(named.value, str):
        raise named.wrong_type("one of a string or an object")
    voice = named.text(least=1, longest=_LONGEST_VOICE)
    if voices is not None and voice not in voices:
        raise InvalidValue(
            f"Invalid value: '{shortened(voice)}'. Supported values are: {listed(sorted(voices))}.", param=given.param
        )
    return voice


def read_speed(given: Given) -> float:
    """Return how fast to speak; 1 is the voice's own pace."""
    least, most = SPEEDS
    return 1.0 if given.is_null else given.number(minimum=least, maximum=most)


def read_max_output_tokens(given: Given) -> int | str:
    """Return the most tokens of one response, or "inf"."""
    if given.is_null or given.value == "inf":
        return "inf"
    if isinstance(given.value, str):
        raise InvalidValue(
            f"Invalid value: '{shortened(given.value)}'. Supported values are: integers and 'inf'.", param=given.param
        )
    return given.integer(minimum=1, maximum=MOST_OUTPUT_TOKENS)


def read_reasoning(given: Given) -> dict[str, Any]:
    """Return how much to think before answering."""
    members = given.filled(("effort",))
    return {"effort": members["effort"].choice(_EFFORTS)} if "effort" in members else {}


def read_prompt(given: Given) -> dict[str, Any] | None:
    """Return the reference to a stored prompt."""
    if given.is_null:
        return None
    members = given.filled(("id", "version", "variables"))
    prompt: dict[str, Any] = {"id": given.required("id").text(least=1, longest=_LONGEST_ID)}
    if "version" in members:
        prompt["version"] = members["version"].text(longest=_LONGEST_ID)
    if "variables" in members:
        prompt["variables"] = members["variables"].json_object()
    return prompt


def read_metadata(given: Given) -> dict[str, str] | None:
    """Return what a client wants to find again on the response."""
    if given.is_null:
        return None
    metadata: dict[str, str] = {}
    if len(given.object()) > _METADATA_PAIRS:
        raise InvalidValue(
            f"Invalid '{given.param}': too many properties. Expected an object with at most {_METADATA_PAIRS} "
            f"properties, but got an object with {len(given.object())} properties instead.",
            param=given.param,
        )
    for key, value in given.object().items():
        if len(key) > _METADATA_KEY:
            raise InvalidValue(
                f"Invalid property name in '{given.param}': '{shortened(key)}' is too long. Expected a string with "
                f"maximum length {_METADATA_KEY}, but got a string with length {len(key)} instead.",
                param=given.param,
            )
        metadata[key] = given.at(key, value).text(longest=_METADATA_VALUE)
    return metadata
