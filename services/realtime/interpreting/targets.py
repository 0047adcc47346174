"""Which languages a session can be interpreted into here."""

from __future__ import annotations

from antiphon.errors import UnsupportedValue
from antiphon.given import listed, not_one_of
from services.realtime.session.facts import Facts

DOCUMENTED = ("de", "en", "es", "fr", "hi", "id", "it", "ja", "ko", "pt", "ru", "vi", "zh")
"""What the hosted service interprets into."""
_PARAM = "session.audio.output.language"


def reachable(facts: Facts) -> tuple[str, ...]:
    """Return the codes of the languages that speech can be translated into and spoken in.

    A recogniser translates into English alone; a language model into all that can be spoken.
    """
    if not facts.speech_model:
        return ()
    if facts.model and facts.transcriber:
        return facts.spoken_languages
    return tuple(code for code in facts.spoken_languages if code == "en" and facts.translator)


def check_target(language: str, facts: Facts) -> None:
    """Raise the `InvalidRequest` of a language that nothing can be interpreted into here."""
    languages = reachable(facts)
    if language in languages:
        return
    if language not in DOCUMENTED and languages:
        raise not_one_of(_PARAM, language, languages)
    offer = f"Supported values are: {listed(languages)}." if languages else "There is nothing here to translate with."
    raise UnsupportedValue(f"Unsupported value: '{language}'. {offer}", param=_PARAM)
