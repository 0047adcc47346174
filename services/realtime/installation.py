"""What the installation offers a session, as the catalogue and the settings say."""

from __future__ import annotations

from functools import partial

from antiphon.errors import ModelForbidden, ModelNotFound
from antiphon.models import Catalogue, Model
from antiphon.realtime.session_object import Known
from antiphon.schemas import Kind, RealtimeJob
from services.realtime.session.facts import Facts
from services.realtime.settings import RealtimeSettings

_LANGUAGES = ("en",)
_EMBEDDED = ("llama",)
_TURN_TOKENS = 4_096


class Installation:
    """Tells sessions what they may count on. The same for every worker with the same catalogue and settings."""

    def __init__(self, catalogue: Catalogue, settings: RealtimeSettings) -> None:
        self._catalogue = catalogue
        self._settings = settings

    def facts(self, job: RealtimeJob) -> Facts:
        """Return the facts of one session. Raises `ModelNotFound` when its model is not in the catalogue any more."""
        settings = self._settings
        name = job.session.get("model") or ""
        kind = job.session["type"]
        model = self._catalogue.resolve(name, "respond") if name and kind == "realtime" else None
        speaker = self._speaker(model)
        voices = speaker.options.get("voices") if speaker else None
        speaks = bool(model and model.options.get("speaks"))
        context_tokens, turn_tokens = self._room(model)
        return Facts(
            session_id=job.id,
            tenant=job.tenant,
            locked=job.locked,
            # What a model that speaks by itself calls its voices is known to nobody else.
            known=Known(
                voices=None if speaks or not voices else tuple(voices),
                is_transcriber=partial(_is_transcriber, self._catalogue.only(job.models)),
            ),
            model=name if model else self._default("respond") if kind == "translation" else "",
            sees=bool(model and model.options.get("sees")),
            speaks=speaks,
            speech_model=speaker.name if speaker else "",
            transcriber=(model.heard_by if model else None) or self._default("transcribe"),
            translator=name if kind == "translation" else self._default("translate"),
            spoken_languages=tuple(speaker.options.get("languages", _LANGUAGES)) if speaker else _LANGUAGES,
            context_tokens=context_tokens,
            turn_tokens=turn_tokens,
            buffer_limit_ms=int(settings.realtime_buffer.total_seconds() * 1000),
            kept_audio_bytes=settings.realtime_kept_audio_bytes,
            longest_response_ms=int(settings.realtime_response_timeout.total_seconds() * 1000),
            requests_per_minute=settings.realtime_requests_per_minute,
            tokens_per_minute=settings.realtime_tokens_per_minute,
        )

    def _speaker(self, model: Model | None) -> Model | None:
        name = (model.spoken_by if model else None) or self._default("synthesize")
        return self._catalogue.resolve(name, "synthesize") if name else None

    def _room(self, model: Model | None) -> tuple[int, int]:
        """Return how many tokens a response may be given, and how many it may have."""
        window = model.options.get("context_tokens") if model else None
        if window is None and model is not None and model.engine in _EMBEDDED:
            window = self._settings.context_tokens
        if not isinstance(window, int):
            return self._settings.realtime_context_tokens, _TURN_TOKENS
        # As the engine itself divides what it sees at a time.
        answer = min(_TURN_TOKENS, window // 4)
        return window - answer, answer

    def _default(self, kind: Kind) -> str:
        try:
            return self._catalogue.default(kind)
        except ModelNotFound:
            return ""


def _is_transcriber(catalogue: Catalogue, name: str) -> bool:
    try:
        catalogue.resolve(name, "transcribe")
    except (ModelNotFound, ModelForbidden):
        return False
    return True
