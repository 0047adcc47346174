"""The session object: what a session begins with, and what becomes of it with each `session.update`.

An update is merged member by member: what is absent stays, null turns off, `[]` and `""` clear. It takes effect as a
whole or, if anything about it is wrong, not at all.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from typing import Any, Literal

import orjson

from antiphon.errors import InvalidValue
from antiphon.given import Given, missing, shortened
from antiphon.realtime.formats import audio_format, read_format
from antiphon.realtime.input_options import merge_noise_reduction, merge_transcription, wants_no_turns
from antiphon.realtime.keeping_options import merge_tracing, read_include, read_truncation
from antiphon.realtime.refusals import RealtimeRefusal
from antiphon.realtime.response_options import (
    read_instructions,
    read_max_output_tokens,
    read_modalities,
    read_prompt,
    read_reasoning,
    read_speed,
    read_voice,
)
from antiphon.realtime.tools import read_tool_choice, read_tools, without_secrets
from antiphon.realtime.turn_detection import merge_turn_detection, server_vad, without_answering

SILENCE_DURATION_MS = 200
LARGEST_SESSION = 2 * 1024 * 1024
"""Most bytes of JSON of a session object: it is told whole after every update, in a frame that clients can read."""

SessionKind = Literal["realtime", "transcription"]

_KINDS = ("realtime", "transcription")
_OBJECTS = {"realtime": "realtime.session", "transcription": "realtime.transcription_session"}
# In the order in which they are read: a choice of tools looks at the tools.
_OPTIONS = (
    "output_modalities",
    "instructions",
    "tools",
    "tool_choice",
    "parallel_tool_calls",
    "reasoning",
    "max_output_tokens",
    "truncation",
    "tracing",
    "prompt",
    "include",
)
_READERS: dict[str, Callable[[Given], Any]] = {
    "output_modalities": read_modalities,
    "instructions": read_instructions,
    "tools": read_tools,
    "parallel_tool_calls": Given.flag,
    "reasoning": read_reasoning,
    "max_output_tokens": read_max_output_tokens,
    "truncation": read_truncation,
    "prompt": read_prompt,
    "include": read_include,
}
_LONGEST_MODEL = 256


@dataclass(frozen=True, kw_only=True)
class Defaults:
    """What a session is where its client says nothing."""

    instructions: str = ""
    voice: str = "marin"
    silence_duration_ms: int = SILENCE_DURATION_MS
    transcription_model: str | None = None
    """Transcriber of transcription sessions; conversations are not transcribed unless their clients want it."""


@dataclass(frozen=True, kw_only=True)
class Known:
    """What this installation has. `voices` is None where any name may be given."""

    voices: Collection[str] | None
    is_transcriber: Callable[[str], bool]
    silence_duration_ms: int = SILENCE_DURATION_MS
    """That of detection by silence which is turned on without naming one."""


def new_session(
    kind: SessionKind, *, session_id: str, model: str | None, expires_at: int, defaults: Defaults
) -> dict[str, Any]:
    """Return a session object of which its client has said nothing yet. `expires_at` in Unix seconds."""
    session: dict[str, Any] = {"type": kind, "object": _OBJECTS[kind], "id": session_id}
    detection = server_vad(silence_duration_ms=defaults.silence_duration_ms)
    hearing: dict[str, Any] = {
        "format": audio_format("audio/pcm"),
        "transcription": None,
        "noise_reduction": None,
        "turn_detection": detection,
    }
    if kind == "transcription":
        if defaults.transcription_model is not None:
            hearing["transcription"] = {"model": defaults.transcription_model}
        no_turns = wants_no_turns(hearing["transcription"])
        hearing["turn_detection"] = None if no_turns else without_answering(detection)
        return session | {"expires_at": expires_at, "include": None, "audio": {"input": hearing}}
    return session | {
        "model": model,
        "output_modalities": ["audio"],
        "instructions": defaults.instructions,
        "tools": [],
        "tool_choice": "auto",
        "max_output_tokens": "inf",
        "tracing": None,
        "truncation": "auto",
        "prompt": None,
        "expires_at": expires_at,
        "include": None,
        "audio": {
            "input": hearing,
            "output": {"format": audio_format("audio/pcm"), "voice": defaults.voice, "speed": 1.0},
        },
    }


def merge_session(
    session: Mapping[str, Any], patch: object, *, known: Known, has_spoken: bool = False, param: str = "session"
) -> dict[str, Any]:
    """Return the session that an update leads to. `has_spoken` tells that there is audio of the assistant already.

    `param` is where the patch stands, for refusals. Raises `InvalidRequest`; `session` stays as it is.
    """
    if patch is None:
        raise missing(param)
    given = Given(patch, param)
    _check_kind(session, given.required("type"))
    spoken = session["audio"]["output"]["voice"] if has_spoken and session["type"] == "realtime" else None
    if session["type"] == "transcription":
        merged = _merge_transcription_session(session, given, known)
    else:
        merged = _merge_realtime_session(session, given, known, spoken=spoken)
    if len(orjson.dumps(merged)) > LARGEST_SESSION:
        raise InvalidValue(
            f"Invalid '{param}': object too large. At most {LARGEST_SESSION} bytes are accepted.", param=param
        )
    return merged


def shown_session(session: Mapping[str, Any]) -> dict[str, Any]:
    """Return the session as its client is shown it: without what proves to MCP servers who asks."""
    return {**session, "tools": without_secrets(session["tools"])} if session.get("tools") else dict(session)


def _check_kind(session: Mapping[str, Any], given: Given) -> None:
    kind = given.choice(_KINDS)
    if kind != session["type"]:
        raise InvalidValue(
            f"Passing a {kind} session update event to a {session['type']} session is not allowed.", param=given.param
        )


def _merge_realtime_session(
    session: Mapping[str, Any], given: Given, known: Known, *, spoken: str | None
) -> dict[str, Any]:
    members = given.members(("type", "model", "audio", *_OPTIONS))
    merged = {**session}
    if "model" in members:
        _check_model(session["model"], members["model"])
    for name in _OPTIONS:
        if name in members:
            merge_option(merged, name, members[name])
    audio = dict(session["audio"])
    ends = _members(members.get("audio"), ("input", "output"))
    audio["input"] = _merge_input(audio["input"], ends.get("input"), known)
    audio["output"] = merge_output(audio["output"], ends.get("output"), known, spoken=spoken)
    merged["audio"] = audio
    return merged


def _merge_transcription_session(session: Mapping[str, Any], given: Given, known: Known) -> dict[str, Any]:
    members = given.members(("type", "audio", "include"))
    merged = {**session}
    if "include" in members:
        merged["include"] = read_include(members["include"])
    ends = _members(members.get("audio"), ("input",))
    before = session["audio"]["input"]
    hearing = _merge_input(before, ends.get("input"), known)
    if hearing["turn_detection"] is not None:
        if wants_no_turns(hearing["transcription"]):
            _check_no_turns(ends["input"], hearing["transcription"]["model"])
            hearing["turn_detection"] = None
        else:
            hearing["turn_detection"] = without_answering(hearing["turn_detection"])
    merged["audio"] = {"input": hearing}
    return merged


def merge_option(settings: dict[str, Any], name: str, given: Given) -> None:
    """Set the option `name` of `settings`, a session or what holds for one response. Raises `InvalidRequest`."""
    match name:
        case "output_modalities" if given.is_null:
            pass
        case "parallel_tool_calls" | "reasoning" if given.is_null:
            settings.pop(name, None)
        case "tool_choice":
            settings[name] = read_tool_choice(given, settings["tools"])
        case "tracing":
            settings[name] = merge_tracing(settings[name], given)
        case _:
            settings[name] = _READERS[name](given)


def merge_output(
    before: Mapping[str, Any], given: Given | None, known: Known, *, spoken: str | None, paced: bool = True
) -> dict[str, Any]:
    """Return what becomes of `audio.output`. `spoken` is the voice that has been heard, `paced` allows a speed.

    Raises `InvalidRequest`.
    """
    output = dict(before)
    members = _members(given, ("format", "voice", "speed") if paced else ("format", "voice"))
    if "format" in members and not members["format"].is_null:
        output["format"] = read_format(members["format"])
    if "voice" in members and not members["voice"].is_null:
        voice = read_voice(members["voice"], known.voices)
        if spoken is not None and voice != spoken:
            raise RealtimeRefusal(
                "Cannot update a conversation's voice if assistant audio is present.",
                code="cannot_update_voice",
                param=members["voice"].param,
            )
        output["voice"] = voice
    if "speed" in members:
        output["speed"] = read_speed(members["speed"])
    return output


def _merge_input(before: Mapping[str, Any], given: Given | None, known: Known) -> dict[str, Any]:
    hearing = dict(before)
    for name, member in _members(given, ("format", "transcription", "noise_reduction", "turn_detection")).items():
        match name:
            case "format":
                hearing[name] = before[name] if member.is_null else read_format(member)
            case "transcription":
                hearing[name] = merge_transcription(before[name], member, is_transcriber=known.is_transcriber)
            case "noise_reduction":
                hearing[name] = merge_noise_reduction(before[name], member)
            case _:
                silence_ms = known.silence_duration_ms
                hearing[name] = merge_turn_detection(before[name], member, silence_duration_ms=silence_ms)
    return hearing


def _members(given: Given | None, allowed: tuple[str, ...]) -> dict[str, Given]:
    return {} if given is None or given.is_null else given.members(allowed)


def _check_model(model: str | None, given: Given) -> None:
    if given.is_null:
        return
    asked = given.text(least=1, longest=_LONGEST_MODEL)
    if model is not None and asked != model:
        raise InvalidValue(
            f"Invalid value: '{shortened(asked)}'. The model of a session cannot be changed; "
            f"it is '{shortened(model)}'.",
            param=given.param,
        )


def _check_no_turns(given: Given, model: str) -> None:
    detection = given.object().get("turn_detection")
    if detection is not None:
        param = f"{given.param}.turn_detection"
        raise InvalidValue(f"Turn detection is not supported for model '{model}': '{param}' must be null.", param=param)
