"""What lies in Redis: what requests leave behind until it expires, recordings on their way, live sessions."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from antiphon.planning.forecast import Forecast
    from antiphon.planning.measured import Measured
    from antiphon.planning.traffic import Load

_LONG_S = 3600.0
"""What is kept longer than this lies there from hours that are no peak."""
WAV_BYTES_PER_S = 32_000.0
"""Of 16-bit sound at 16 kHz."""


def redis_bytes(
    load: Load,
    measured: Measured,
    forecast: Forecast,
    *,
    peak: float,
    recordings_in_redis: bool = False,
    recording_bytes_per_s: float = WAV_BYTES_PER_S,
) -> dict[str, float]:
    """Return the bytes of each part; `load` is the mean one and `peak` how many times as much the greatest is."""
    parts: dict[str, float] = {}
    rates = rates_of(load)
    for kind, rate in rates.items():
        kept_bytes = sum(
            kept.count * kept.bytes * rate * kept.ttl_s * (1.0 if kept.ttl_s > _LONG_S else peak)
            for kept in measured.kept.get(kind, ())
        )
        if kept_bytes:
            parts[f"what {kind} leave" if kind in ("files", "jobs", "sessions") else f"what {kind} leaves"] = kept_bytes
    if load.sessions and measured.session_bytes:
        parts["live sessions"] = load.sessions.held * peak * measured.session_bytes
    if recordings_in_redis:
        lengths = {
            "files": load.files.mean if load.files else 0.0,
            "jobs": load.jobs.mean if load.jobs else 0.0,
            "chat": load.chat.question_s if load.chat else 0.0,
            "sessions": load.sessions.question_s if load.sessions else 0.0,
        }
        # As many are there at a time as come while one of them stays.
        on_their_way = sum(
            rates.get(kind, 0.0) * peak * known.whole.mean_s * length_s * recording_bytes_per_s
            for kind, length_s in lengths.items()
            if (known := forecast.kind(kind)) is not None and known.whole is not None
        )
        if on_their_way:
            parts["recordings on their way"] = on_their_way
    return parts


def rates_of(load: Load) -> dict[str, float]:
    """Return requests of each kind in a second; for sessions, turns at the pace of their pauses."""
    rates: dict[str, float] = {}
    if load.files:
        rates["files"] = load.files.per_hour / 3600
    if load.jobs:
        rates["jobs"] = load.jobs.per_hour / 3600
    if load.speech:
        rates["speech"] = load.speech.per_minute / 60
    if load.chat:
        rates["chat"] = load.chat.per_minute / 60
    if load.sessions:
        rates["sessions"] = load.sessions.held / load.sessions.pause_s
    return rates
