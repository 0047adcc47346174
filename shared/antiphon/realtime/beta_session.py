"""The flat session of the beta dialect and the nested one of GA, each as the other."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from antiphon.errors import InvalidValue
from antiphon.given import Given, unknown
from antiphon.realtime.beta_names import FORMAT_NAMES, FORMATS, INPUT_FIELDS, OUTPUT_FIELDS
from antiphon.realtime.formats import audio_format

TEMPERATURE = 0.8
_TEMPERATURES = (0.6, 1.2)
_GONE = ("temperature", "client_secret")


def nested_session(session: object, kind: str) -> object:
    """Return the update of a flat session as one of a GA session of `kind`; what is not understood stays as it is.

    Raises `InvalidRequest` for what GA has no words for.
    """
    if not isinstance(session, dict):
        return session
    nested: dict[str, Any] = {"type": kind}
    ends: dict[str, dict[str, Any]] = {}
    for name, value in session.items():
        given = Given(value, f"session.{name}")
        if name in _GONE:
            continue
        if name in INPUT_FIELDS:
            ends.setdefault("input", {})[INPUT_FIELDS[name]] = _format(given) if name.endswith("_format") else value
        elif kind == "transcription" and name == "modalities":
            continue
        elif name in OUTPUT_FIELDS and kind == "realtime":
            ends.setdefault("output", {})[OUTPUT_FIELDS[name]] = _format(given) if name.endswith("_format") else value
        elif name in {"audio", "output_modalities", "max_output_tokens", "type"}:
            raise unknown(given.param)
        else:
            renamed, changed = _nested_option(name, given)
            nested[renamed] = changed
    return nested | {"audio": ends} if ends else nested


def nested_response(response: object) -> object:
    """Return the options of a beta `response.create` as GA has them, but for its items. Raises `InvalidRequest`."""
    if not isinstance(response, dict):
        return response
    nested: dict[str, Any] = {}
    output: dict[str, Any] = {}
    for name, value in response.items():
        given = Given(value, f"response.{name}")
        if name == "temperature":
            read_temperature(given)
        elif name in {"voice", "output_audio_format"}:
            output[OUTPUT_FIELDS[name]] = _format(given) if name.endswith("_format") else value
        elif name in {"audio", "output_modalities"}:
            raise unknown(given.param)
        else:
            renamed, changed = _nested_option(name, given)
            nested[renamed] = changed
    return nested | {"audio": {"output": output}} if output else nested


def read_temperature(given: Given) -> float:
    """Return a temperature; null is the usual one. Raises `InvalidRequest`."""
    least, most = _TEMPERATURES
    return TEMPERATURE if given.is_null else given.number(minimum=least, maximum=most)


def flat_session(session: Mapping[str, Any], *, temperature: float) -> dict[str, Any]:
    """Return a GA session as beta has it."""
    if session["type"] == "transcription":
        return _flat_transcription_session(session)
    speaking = session["audio"]["output"]
    flat: dict[str, Any] = {
        "id": session["id"],
        "object": session["object"],
        "expires_at": session["expires_at"],
        "model": session["model"],
        "modalities": flat_modalities(session["output_modalities"]),
        "instructions": session["instructions"],
        "voice": speaking["voice"],
        **_flat_input(session["audio"]["input"]),
        "output_audio_format": flat_format(speaking["format"]),
        "tools": session["tools"],
        "tool_choice": session["tool_choice"],
        "temperature": temperature,
        "max_response_output_tokens": session["max_output_tokens"],
        "speed": speaking.get("speed", 1.0),
        "tracing": session["tracing"],
    }
    return flat | {"include": session["include"]} if session.get("include") else flat


def flat_response(response: Mapping[str, Any], *, temperature: float) -> dict[str, Any]:
    """Return a GA response as beta has it, but for its items."""
    flat = {name: value for name, value in response.items() if name not in {"audio", "output_modalities", "usage"}}
    if "output_modalities" in response:
        flat["modalities"] = flat_modalities(response["output_modalities"])
    output = response.get("audio", {}).get("output", {})
    if "voice" in output:
        flat["voice"] = output["voice"]
    if "format" in output:
        flat["output_audio_format"] = flat_format(output["format"])
    return flat | {"temperature": temperature, "usage": _flat_usage(response.get("usage"))}


def flat_modalities(modalities: list[str]) -> list[str]:
    """Return modalities as beta has them, where audio never comes without text."""
    return ["text", "audio"] if "audio" in modalities else ["text"]


def flat_format(described: Mapping[str, Any]) -> str:
    """Return the name of an audio format."""
    return FORMAT_NAMES[described["type"]]


def _nested_option(name: str, given: Given) -> tuple[str, Any]:
    match name:
        case "modalities":
            return "output_modalities", _modalities(given)
        case "max_response_output_tokens":
            return "max_output_tokens", given.value
        case "tools":
            return name, _nested_tools(given.value)
        case _:
            return name, given.value


def _modalities(given: Given) -> Any:
    if not isinstance(given.value, list) or not all(isinstance(item, str) for item in given.value):
        return given.value
    asked = set(given.value)
    if asked == {"text"}:
        return ["text"]
    if asked == {"text", "audio"}:
        return ["audio"]
    raise InvalidValue(
        f"Invalid modalities: {given.value[:8]}. Supported combinations are: ['text'] and ['audio', 'text'].",
        param=given.param,
    )


def _nested_tools(tools: Any) -> Any:
    """Return functions as GA has them: some clients of old wrap them as in a chat completion."""
    if not isinstance(tools, list):
        return tools
    return [
        {"type": "function", **tool["function"]}
        if isinstance(tool, dict) and isinstance(tool.get("function"), dict) and "name" not in tool
        else tool
        for tool in tools
    ]


def _format(given: Given) -> Any:
    return None if given.is_null else audio_format(FORMATS[given.choice(tuple(FORMATS))])


def _flat_input(hearing: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "input_audio_format": flat_format(hearing["format"]),
        "input_audio_transcription": hearing["transcription"],
        "input_audio_noise_reduction": hearing["noise_reduction"],
        "turn_detection": _flat_detection(hearing["turn_detection"]),
    }


def _flat_detection(detection: Mapping[str, Any] | None) -> dict[str, Any] | None:
    if detection is None:
        return None
    return {name: value for name, value in detection.items() if name != "idle_timeout_ms" or value is not None}


def _flat_transcription_session(session: Mapping[str, Any]) -> dict[str, Any]:
    flat = {
        "id": session["id"],
        "object": session["object"],
        "expires_at": session["expires_at"],
        **_flat_input(session["audio"]["input"]),
        # The schema of the dialect wants one in every session, though only HTTP ever tells it.
        "client_secret": {"value": "", "expires_at": session["expires_at"]},
    }
    return flat | {"include": session["include"]} if session.get("include") else flat


def _flat_usage(usage: Mapping[str, Any] | None) -> dict[str, Any] | None:
    if usage is None:
        return None
    flat = dict(usage)
    details = usage.get("input_token_details")
    if details is not None:
        known = ("text_tokens", "audio_tokens", "cached_tokens")
        flat["input_token_details"] = {name: details[name] for name in known if name in details}
    return flat
