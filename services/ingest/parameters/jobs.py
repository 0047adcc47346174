"""Parameters of /jobs: the work, with the parameters of its own endpoint, and the terms on which it is done."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

from antiphon.errors import Forbidden, InvalidValue, UnsupportedValue
from antiphon.given import MaybeGiven, missing
from antiphon.models import Catalogue, PublicModel
from antiphon.schemas import Kind, Priority, State, WebhookTarget, lowered
from services.ingest.parameters.audio import AudioSource, CheckUrl, read_audio
from services.ingest.parameters.chat_fields import read_metadata
from services.ingest.parameters.fields import Parameters, one_of
from services.ingest.parameters.speech import SpeechRequest, read_speech
from services.ingest.parameters.targets import read_target
from services.ingest.parameters.transcription import TranscriptionRequest, read_recognition, read_translation

KINDS: tuple[Kind, ...] = ("transcribe", "translate", "synthesize")
STATES: tuple[State, ...] = ("queued", "running", "completed", "failed", "cancelled", "expired")
MAX_LIMIT = 100
DEFAULT_LIMIT = 20

_ENDPOINTS: dict[str, Kind] = {
    "/v1/audio/transcriptions": "transcribe",
    "/v1/audio/translations": "translate",
    "/v1/audio/speech": "synthesize",
}
_PRIORITIES: tuple[Priority, ...] = ("std", "bulk")
_LEAST_KEEP_S = 10
_KEEP_S = 86_400
_MAX_KEEP_S = 31 * 86_400
_LEAST_DEADLINE_S = 0.001


@dataclass(frozen=True)
class JobRules:
    """What an order is checked against. `kept_s` is how long the platform keeps audio, `now_s` epoch seconds."""

    catalogue: Catalogue
    strict: bool
    check_url: CheckUrl
    kept_s: int
    now_s: float
    ceiling: Priority = "hi"
    """The highest priority that may be asked for."""


@dataclass(frozen=True)
class JobOrder:
    """A job that somebody wants done. `audio` is absent when it is uploaded beside the parameters, and for speech."""

    kind: Kind
    model: str
    wanted: TranscriptionRequest | SpeechRequest
    audio: AudioSource | None
    stream: bool
    priority: Priority
    expires_in_s: float
    keep_s: int
    metadata: Mapping[str, str]
    webhook: WebhookTarget | None


@dataclass(frozen=True)
class Listing:
    """Which jobs to list; `after` and `before` are places in a list that begins with the newest."""

    kinds: tuple[Kind, ...]
    states: frozenset[State] | None
    limit: int
    after: str | None
    before: str | None


def read_job(parameters: Parameters, rules: JobRules, *, uploaded: bool = False) -> JobOrder:
    """Check the parameters of one job. Raises `InvalidRequest`, `ModelNotFound`."""
    kind = _kind(parameters)
    name = parameters.required("model")
    model = rules.catalogue.resolve(name, kind).public
    wanted, audio = _READERS[kind](parameters, model, rules, uploaded)
    speaks = isinstance(wanted, SpeechRequest)
    return JobOrder(
        kind=kind,
        model=name,
        wanted=wanted,
        audio=audio,
        stream=not speaks and parameters.flag("stream", default=True),
        priority=_priority(parameters, rules),
        expires_in_s=_expires_in_s(parameters, rules),
        # Speech is a blob, and lives no longer than one.
        keep_s=_keep_s(parameters, maximum=min(rules.kept_s, _MAX_KEEP_S) if speaks else _MAX_KEEP_S),
        metadata=read_metadata(MaybeGiven(parameters.members("metadata"), "metadata")),
        webhook=read_target(parameters, rules.check_url),
    )


def read_listing(query: Parameters) -> Listing:
    """Check the query of a list. Raises `InvalidValue`."""
    limit = query.number("limit", minimum=1, maximum=MAX_LIMIT)
    if limit is not None and not limit.is_integer():
        raise InvalidValue(f"Invalid value for 'limit': expected an integer, but got {limit:g}.", param="limit")
    kinds = query.choices("kind", KINDS)
    return Listing(
        kinds=tuple(kind for kind in KINDS if not kinds or kind in kinds),
        states=query.choices("status", STATES) or None,
        limit=DEFAULT_LIMIT if limit is None else int(limit),
        after=query.text("after"),
        before=query.text("before"),
    )


def _kind(parameters: Parameters) -> Kind:
    named, endpoint = parameters.text("kind"), parameters.text("endpoint")
    if named is None and endpoint is None:
        raise missing("kind")
    kind = None if named is None else one_of("kind", named, KINDS)
    if endpoint is None:
        return kind or KINDS[0]
    meant = _ENDPOINTS[one_of("endpoint", endpoint.removeprefix("/openai"), tuple(_ENDPOINTS))]
    if kind not in (None, meant):
        raise InvalidValue(f"'kind' is '{kind}', but 'endpoint' is that of '{meant}'.", param="endpoint")
    return meant


Reader = Callable[
    [Parameters, PublicModel, JobRules, bool], tuple[TranscriptionRequest | SpeechRequest, AudioSource | None]
]


def _transcribe(
    parameters: Parameters, model: PublicModel, rules: JobRules, uploaded: bool
) -> tuple[TranscriptionRequest, AudioSource | None]:
    wanted = read_recognition(parameters, model, strict=rules.strict)
    return wanted, read_audio(parameters, rules.check_url, uploaded=uploaded)


def _translate(
    parameters: Parameters, model: PublicModel, rules: JobRules, uploaded: bool
) -> tuple[TranscriptionRequest, AudioSource | None]:
    wanted = read_translation(parameters, model, strict=rules.strict)
    return wanted, read_audio(parameters, rules.check_url, uploaded=uploaded)


def _synthesize(
    parameters: Parameters, model: PublicModel, rules: JobRules, uploaded: bool
) -> tuple[SpeechRequest, None]:
    if uploaded or parameters.members("audio") is not None:
        name = "file" if uploaded else "audio"
        raise UnsupportedValue(f"Unsupported parameter: '{name}' is not supported for speech.", param=name)
    wanted = read_speech(parameters, model)
    # A job's audio is fetched when it is whole.
    for name, asked in (("stream_format", wanted.stream_format == "sse"), ("stream", parameters.flag("stream"))):
        if asked:
            raise UnsupportedValue(f"Unsupported value: '{name}'. The speech of a job is not streamed.", param=name)
    return wanted, None


_READERS: dict[Kind, Reader] = {"transcribe": _transcribe, "translate": _translate, "synthesize": _synthesize}


def _priority(parameters: Parameters, rules: JobRules) -> Priority:
    priority = parameters.choice("priority", _PRIORITIES, "bulk")
    if lowered(priority, rules.ceiling) != priority:
        raise Forbidden(
            f"Your API key may not ask for the priority '{priority}': its highest is '{rules.ceiling}'.",
            param="priority",
        )
    return priority


def _expires_in_s(parameters: Parameters, rules: JobRules) -> float:
    within_s = parameters.number("deadline_s", minimum=_LEAST_DEADLINE_S, maximum=rules.kept_s)
    at_s = _instant_s("deadline", parameters.scalar("deadline"))
    if at_s is None:
        return rules.kept_s if within_s is None else within_s
    if within_s is not None:
        raise InvalidValue("Only one of 'deadline' and 'deadline_s' may be given.", param="deadline")
    if at_s <= rules.now_s:
        raise InvalidValue("Invalid value for 'deadline': it has passed.", param="deadline")
    if at_s - rules.now_s > rules.kept_s:
        raise InvalidValue(
            f"Invalid value for 'deadline': at most {rules.kept_s} seconds from now are accepted.", param="deadline"
        )
    return at_s - rules.now_s


def _instant_s(name: str, value: str | float | None) -> float | None:
    """Return epoch seconds, given as such or as ISO 8601, which means UTC unless it says otherwise."""
    if value is None:
        return None
    try:
        instant_s = float(value)
    except ValueError:
        instant_s = _iso_s(str(value))
    if not math.isfinite(instant_s):
        raise InvalidValue(f"Invalid value for '{name}': expected ISO 8601 or seconds since 1970.", param=name)
    return instant_s


def _iso_s(text: str) -> float:
    try:
        at = datetime.fromisoformat(text)
        return (at if at.tzinfo else at.replace(tzinfo=UTC)).timestamp()
    except (ValueError, OverflowError):
        return math.nan


def _keep_s(parameters: Parameters, *, maximum: int) -> int:
    keep_s = parameters.number("keep_s", minimum=_LEAST_KEEP_S, maximum=maximum)
    return min(_KEEP_S, maximum) if keep_s is None else math.ceil(keep_s)
