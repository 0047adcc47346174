"""The voices of a model, by the names that clients have for them."""

from __future__ import annotations

from collections.abc import Mapping

from antiphon.errors import InvalidValue


def find_voice(voices: Mapping[str, str], name: str, *, param: str = "voice") -> str:
    """Return the engine's own name for a voice, however its public name is capitalised.

    Raises `InvalidValue`, listing the known ones.
    """
    voice = {known.lower(): voice for known, voice in voices.items()}.get(name.lower())
    if voice is None:
        raise InvalidValue(f"Unknown voice '{name}'. This model has: {', '.join(voices)}.", param=param)
    return voice
