"""What holds for one response: the settings of its session, and what its `response.create` puts over them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from antiphon.given import Given
from antiphon.realtime.items import read_input
from antiphon.realtime.response_options import read_metadata
from antiphon.realtime.session_object import Known, merge_option, merge_output

_OPTIONS = (
    "output_modalities",
    "instructions",
    "tools",
    "tool_choice",
    "parallel_tool_calls",
    "reasoning",
    "max_output_tokens",
    "prompt",
)
_OWN = ("conversation", "input", "metadata", "audio")


def merge_response(
    session: Mapping[str, Any],
    overrides: object,
    *,
    known: Known,
    has_spoken: bool = False,
    param: str = "response",
) -> dict[str, Any]:
    """Return what holds for one response: the options of a session by the same names, and some of its own.

    Those are `conversation`, "auto" or "none"; `input`, a list of items, or None for the conversation itself;
    `metadata`, None or strings by their names. `audio.output` has `format`, `voice` and `speed`. `overrides` is
    `response.create.response`, None if there is none. With `has_spoken` a response in the conversation keeps the
    voice of its session. Raises `InvalidRequest`.
    """
    settings: dict[str, Any] = {name: session[name] for name in _OPTIONS if name in session}
    output: Mapping[str, Any] = session["audio"]["output"]
    settings |= {"conversation": "auto", "input": None, "metadata": None, "audio": {"output": dict(output)}}
    if overrides is None:
        return settings
    members = Given(overrides, param).filled((*_OPTIONS, *_OWN))
    for name in _OPTIONS:
        if name in members:
            merge_option(settings, name, members[name])
    if "conversation" in members:
        settings["conversation"] = members["conversation"].choice(("auto", "none"))
    if "input" in members:
        settings["input"] = read_input(members["input"].value, param=members["input"].param)
    if "metadata" in members:
        settings["metadata"] = read_metadata(members["metadata"])
    if "audio" in members:
        spoken = output["voice"] if has_spoken and settings["conversation"] == "auto" else None
        given = members["audio"].filled(("output",)).get("output")
        settings["audio"] = {"output": merge_output(output, given, known, spoken=spoken, paced=False)}
    return settings
