"""The session object of translation sessions, which have neither turns nor answers."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from typing import Any

from antiphon.errors import InvalidValue
from antiphon.given import Given, missing, not_one_of, shortened
from antiphon.languages import language_code
from antiphon.realtime.input_options import merge_noise_reduction, merge_transcription

_LONGEST_LANGUAGE = 64


def new_translation_session(*, session_id: str, model: str, expires_at: int, language: str = "en") -> dict[str, Any]:
    """Return a translation session of which its client has said nothing yet. `expires_at` in Unix seconds."""
    return {
        "id": session_id,
        "type": "translation",
        "model": model,
        "expires_at": expires_at,
        "audio": {"input": {"transcription": None, "noise_reduction": None}, "output": {"language": language}},
    }


def merge_translation_session(
    session: Mapping[str, Any],
    patch: object,
    *,
    languages: Collection[str] | None,
    is_transcriber: Callable[[str], bool],
    param: str = "session",
) -> dict[str, Any]:
    """Return the session that an update leads to, or that a secret pins. `languages` are the codes that can be spoken.

    Raises `InvalidRequest`; `session` stays as it is.
    """
    ends = _members(_members(Given(patch, param), ("audio",)).get("audio"), ("input", "output"))
    hearing = dict(session["audio"]["input"])
    speaking = dict(session["audio"]["output"])
    for name, member in _members(ends.get("input"), ("transcription", "noise_reduction")).items():
        if name == "noise_reduction":
            hearing[name] = merge_noise_reduction(hearing[name], member)
        else:
            hearing[name] = _transcription(hearing[name], member, is_transcriber)
    for name, member in _members(ends.get("output"), ("language",)).items():
        if not member.is_null:
            speaking[name] = _language(member, languages)
    return {**session, "audio": {"input": hearing, "output": speaking}}


def _members(given: Given | None, allowed: tuple[str, ...]) -> dict[str, Given]:
    return {} if given is None or given.is_null else given.members(allowed)


def _transcription(
    before: Mapping[str, Any] | None, given: Given, is_transcriber: Callable[[str], bool]
) -> dict[str, Any] | None:
    if not given.is_null:
        given.members(("model",))
        if given.object().get("model", given) is None:
            raise missing(f"{given.param}.model")
    return merge_transcription(before, given, is_transcriber=is_transcriber)


def _language(given: Given, languages: Collection[str] | None) -> str:
    spelled = given.text(least=1, longest=_LONGEST_LANGUAGE)
    code = language_code(spelled)
    if languages is not None and code not in languages:
        raise not_one_of(given.param, spelled, sorted(languages))
    if code is None:
        raise InvalidValue(f"Invalid language '{shortened(spelled)}'. It is not known.", param=given.param)
    return code
