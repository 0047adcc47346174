"""Session objects to begin with, from what a client asks for and what this installation has."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal

from antiphon.errors import InvalidValue, ModelNotFound
from antiphon.models import Catalogue, Model
from antiphon.realtime.session_object import Defaults, Known, merge_session, new_session
from antiphon.realtime.translation_object import merge_translation_session, new_translation_session
from services.ingest.realtime.settings import RealtimeSettings

SessionType = Literal["realtime", "transcription", "translation"]


@dataclass(frozen=True)
class Sessions:
    """Makes session objects. What is not pinned to a session yet has no `expires_at`: it is 0."""

    catalogue: Catalogue
    settings: RealtimeSettings
    models: tuple[str, ...] = ()
    """Patterns of the models that clients may name; none: any."""

    def within(self, models: tuple[str, ...]) -> Sessions:
        """Return what makes sessions for clients that may name these models alone."""
        return replace(self, models=models) if models else self

    def conversation(self, model: str, *, session_id: str, expires_at: int = 0) -> dict[str, Any]:
        """Return a conversation with a model. Raises `ModelNotFound`, `ModelForbidden`."""
        self._named.resolve(model, "respond")
        return new_session(
            "realtime", session_id=session_id, model=model, expires_at=expires_at, defaults=self._defaults
        )

    def transcription(self, model: str | None, *, session_id: str, expires_at: int = 0) -> dict[str, Any]:
        """Return a session that only listens; `model` is what transcribes, if the client says so already."""
        session = new_session(
            "transcription", session_id=session_id, model=None, expires_at=expires_at, defaults=self._defaults
        )
        if model is None:
            return session
        self._named.resolve(model, "transcribe")
        named = {"type": "transcription", "audio": {"input": {"transcription": {"model": model}}}}
        return merge_session(session, named, known=self._known(None))

    def translation(self, model: str, *, session_id: str, expires_at: int = 0) -> dict[str, Any]:
        """Return a session that interprets. Raises `ModelNotFound`, `ModelForbidden`."""
        self._named.resolve(model, "translate")
        return new_translation_session(session_id=session_id, model=model, expires_at=expires_at)

    def configured(self, wanted: Mapping[str, Any], *, session_id: str) -> dict[str, Any]:
        """Return the session that a client describes. Raises `InvalidRequest`, `ModelNotFound`."""
        kind = wanted.get("type", "realtime")
        if kind == "transcription":
            session = self.transcription(None, session_id=session_id)
            return merge_session(session, {**wanted}, known=self._known(None))
        if kind != "realtime":
            raise InvalidValue(
                f"Invalid value: '{kind}'. Supported values are: 'realtime' and 'transcription'.", param="session.type"
            )
        model = wanted.get("model") or self.settings.realtime_model
        if not isinstance(model, str):
            raise InvalidValue("Invalid 'session.model': expected the name of a model.", param="session.model")
        session = self.conversation(model, session_id=session_id)
        changes = {**wanted, "type": "realtime", "model": model}
        return merge_session(session, changes, known=self._known(model))

    def configured_translation(self, wanted: Mapping[str, Any], *, session_id: str) -> dict[str, Any]:
        """Return the interpreting session that a client describes. Raises `InvalidRequest`, `ModelNotFound`."""
        model = wanted.get("model") or "gpt-realtime-translate"
        if not isinstance(model, str):
            raise InvalidValue("Invalid 'session.model': expected the name of a model.", param="session.model")
        changes = {name: value for name, value in wanted.items() if name not in ("model", "type")}
        session = self.translation(model, session_id=session_id)
        return merge_translation_session(session, changes, languages=None, is_transcriber=self.is_transcriber)

    def is_transcriber(self, name: str) -> bool:
        """Tell whether a name stands for a model that turns speech into text. Raises `ModelForbidden`."""
        try:
            self._named.resolve(name, "transcribe")
        except ModelNotFound:
            return False
        return True

    @property
    def _defaults(self) -> Defaults:
        return Defaults(
            instructions=self.settings.realtime_instructions,
            voice=self.settings.realtime_voice,
            silence_duration_ms=self.settings.realtime_silence_ms,
            transcription_model=self._transcriber(),
        )

    @property
    def _named(self) -> Catalogue:
        return self.catalogue.only(self.models)

    def _transcriber(self) -> str:
        """Return what transcribes where the client names nothing: a model that it may name."""
        usual = self.settings.realtime_transcriber
        fitting = [model.id for model in self._named.public() if "transcribe" in model.kinds] if self.models else []
        return usual if not fitting or usual in fitting else fitting[0]

    def _known(self, model: str | None) -> Known:
        voices = None if model is None else self._voices(self.catalogue.resolve(model, "respond"))
        return Known(
            voices=voices,
            is_transcriber=self.is_transcriber,
            silence_duration_ms=self.settings.realtime_silence_ms,
        )

    def _voices(self, model: Model) -> tuple[str, ...] | None:
        """Return the voices that speak for a model; None where only the one that speaks knows them."""
        if model.options.get("speaks"):
            return None
        speaker = self.catalogue.resolve(model.spoken_by or self.catalogue.default("synthesize"), "synthesize")
        return tuple(speaker.options.get("voices") or ()) or None
