"""What holds for one response."""

from __future__ import annotations

from typing import Any

import pytest

from antiphon.errors import InvalidRequest
from antiphon.realtime.response_object import merge_response
from antiphon.realtime.session_object import Defaults, Known, new_session

pytestmark = pytest.mark.unit

KNOWN = Known(voices=("marin", "alloy"), is_transcriber=lambda _: False)
SESSION = new_session(
    "realtime", session_id="sess_1", model="gpt-realtime", expires_at=0, defaults=Defaults(instructions="Be brief.")
)


def merged(overrides: object, *, has_spoken: bool = False) -> dict[str, Any]:
    return merge_response(SESSION, overrides, known=KNOWN, has_spoken=has_spoken)


@pytest.mark.parametrize("overrides", [None, {}, {"instructions": None, "audio": None, "input": None}])
def test_a_response_that_says_nothing_is_as_its_session(overrides: object) -> None:
    assert merged(overrides) == {
        "output_modalities": ["audio"],
        "instructions": "Be brief.",
        "tools": [],
        "tool_choice": "auto",
        "max_output_tokens": "inf",
        "prompt": None,
        "conversation": "auto",
        "input": None,
        "metadata": None,
        "audio": {"output": {"format": {"type": "audio/pcm", "rate": 24000}, "voice": "marin", "speed": 1.0}},
    }


def test_what_a_response_says_holds_for_it_alone() -> None:
    settings = merged(
        {
            "conversation": "none",
            "input": [{"type": "item_reference", "id": "item_1"}],
            "instructions": "",
            "output_modalities": ["text"],
            "audio": {"output": {"voice": "alloy", "format": {"type": "audio/pcmu"}}},
            "tools": [{"type": "function", "name": "f"}],
            "tool_choice": {"type": "function", "name": "f"},
            "max_output_tokens": 10,
            "metadata": {"topic": "summary"},
        }
    )
    assert settings["input"] == [{"type": "item_reference", "id": "item_1"}]
    assert settings["audio"]["output"] == {"format": {"type": "audio/pcmu"}, "voice": "alloy", "speed": 1.0}
    assert settings["metadata"] == {"topic": "summary"}
    assert (SESSION["tools"], SESSION["audio"]["output"]["voice"]) == ([], "marin")
    assert merged({"input": []})["input"] == []


@pytest.mark.parametrize(
    ("overrides", "code", "param"),
    [
        ("now", "invalid_type", "response"),
        ({"temperature": 0.8}, "unknown_parameter", "response.temperature"),
        ({"conversation": "conv_1"}, "invalid_value", "response.conversation"),
        ({"audio": {"input": {}}}, "unknown_parameter", "response.audio.input"),
        ({"audio": {"output": {"speed": 1.0}}}, "unknown_parameter", "response.audio.output.speed"),
        ({"metadata": {str(number): "" for number in range(17)}}, "invalid_value", "response.metadata"),
        ({"metadata": {"x" * 65: ""}}, "invalid_value", "response.metadata"),
        ({"metadata": {"x": "y" * 513}}, "invalid_value", "response.metadata.x"),
        ({"metadata": {"x": 1}}, "invalid_type", "response.metadata.x"),
        ({"input": [{"type": "item_reference"}]}, "missing_required_parameter", "response.input[0].id"),
        ({"input": [{"type": "message"}]}, "missing_required_parameter", "response.input[0].role"),
        ({"tool_choice": {"type": "function", "name": "f"}}, "invalid_value", "response.tool_choice"),
    ],
)
def test_a_wrong_response_is_refused(overrides: object, code: str, param: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        merged(overrides)
    assert (caught.value.code, caught.value.param) == (code, param)


def test_only_a_response_outside_of_the_conversation_may_have_another_voice_later() -> None:
    other = {"audio": {"output": {"voice": "alloy"}}}
    with pytest.raises(InvalidRequest, match="assistant audio is present"):
        merged(other, has_spoken=True)
    assert merged({**other, "conversation": "none"}, has_spoken=True)["audio"]["output"]["voice"] == "alloy"
