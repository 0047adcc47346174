"""The session of an interpreter."""

from __future__ import annotations

from typing import Any

import pytest
from openai.types.realtime import RealtimeTranslationSession

from antiphon.errors import InvalidRequest
from antiphon.realtime.translation_object import merge_translation_session, new_translation_session

pytestmark = pytest.mark.unit

SESSION = new_translation_session(session_id="sess_1", model="gpt-realtime-translate", expires_at=1)


def merged(patch: object) -> dict[str, Any]:
    return merge_translation_session(
        SESSION, patch, languages=("en", "de"), is_transcriber=lambda name: name == "whisper-1"
    )


def test_its_language_and_its_hearing_can_be_set() -> None:
    reduction = {"type": "near_field"}
    patch = {
        "input": {"transcription": {"model": "whisper-1"}, "noise_reduction": reduction},
        "output": {"language": "de"},
    }
    session = merged({"audio": patch})
    assert session["audio"] == patch
    RealtimeTranslationSession.model_validate(session)
    RealtimeTranslationSession.model_validate(SESSION)
    assert merged({}) == SESSION
    assert merged({"audio": {"output": {"language": "German"}}})["audio"]["output"] == {"language": "de"}


@pytest.mark.parametrize(
    ("patch", "code", "param"),
    [
        ({"type": "translation"}, "unknown_parameter", "session.type"),
        ({"instructions": "x"}, "unknown_parameter", "session.instructions"),
        ({"audio": {"output": {"voice": "alloy"}}}, "unknown_parameter", "session.audio.output.voice"),
        ({"audio": {"output": {"language": "fr"}}}, "invalid_value", "session.audio.output.language"),
        ({"audio": {"output": {"language": 1}}}, "invalid_type", "session.audio.output.language"),
        ({"audio": {"input": {"turn_detection": None}}}, "unknown_parameter", "session.audio.input.turn_detection"),
        (
            {"audio": {"input": {"transcription": {}}}},
            "missing_required_parameter",
            "session.audio.input.transcription.model",
        ),
        (
            {"audio": {"input": {"transcription": {"model": "whisper-1", "language": "de"}}}},
            "unknown_parameter",
            "session.audio.input.transcription.language",
        ),
    ],
)
def test_nothing_else_can(patch: object, code: str, param: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        merged(patch)
    assert (caught.value.code, caught.value.param) == (code, param)
