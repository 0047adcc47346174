"""What a run has found, as one JSON document. `docs/load.md` says what each name means."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from statistics import fmean
from typing import TYPE_CHECKING, Any

from antiphon.planning import Spread, Stage
from antiphon.speech import SentenceStream
from tests.load.callers import TEXTS, TOKENS
from tests.load.options import KINDS
from tests.load.tally import is_refusal
from tests.load.watch import CLIENT

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from antiphon.planning import Measured
    from tests.load.callers import Sounds
    from tests.load.options import Options
    from tests.load.scrape import Samples
    from tests.load.tally import Request, Tally
    from tests.load.watch import Moment

FORMAT = 1
Report = dict[str, Any]
_PAUSE_S = 6.0
_SENTENCE_TOKENS = 15.0


@dataclass(frozen=True, kw_only=True)
class Found:
    """All that a run brings back."""

    options: Options
    command: str
    machine: str
    base_url: str
    tally: Tally
    sounds: Sounds
    moments: Sequence[Moment]
    metrics: Samples
    """Added during the run; empty where the metrics cannot be read."""
    ended_s: float
    interrupted: bool
    client_s: float
    """Processor time of the harness."""
    workers: Mapping[str, int] | None = None
    memory_mib: Mapping[str, float] | None = None
    measured: Measured | None = None


def report_of(found: Found) -> Report:
    """Return the document."""
    stages = found.options.stages
    hold_s = sum(stage.seconds for stage in stages[:-1])
    end_s = sum(stage.seconds for stage in stages)
    return {
        "format": FORMAT,
        "command": found.command,
        "machine": found.machine,
        "base_url": found.base_url,
        "interrupted": found.interrupted,
        "stages": [{"seconds": stage.seconds, "part": stage.part} for stage in stages],
        "hold_s": hold_s,
        "end_s": end_s,
        "ended_s": found.ended_s,
        "kinds": {
            kind: _kind(found.tally.requests, kind, stages, hold_s, min(end_s, found.ended_s))
            for kind in KINDS
            if found.options.load[kind]
        },
        "requests": {"sent": dict(found.tally.sent), "served": served(found.metrics)},
        "lanes": _lanes(found.metrics),
        "turns": {stage: _histogram(one) for (stage,), one in _of(found.metrics, "antiphon_turn_seconds", "stage")},
        "processors": _processors(found.moments, hold_s, end_s),
        "memory_mib": dict(found.memory_mib or {}),
        "harness": _harness(found),
        "moments": [
            {
                "at_s": round(moment.at_s, 3),
                "processors": {name: round(value, 3) for name, value in moment.processors.items()},
                "waiting": dict(moment.waiting),
                "held": dict(moment.held),
            }
            for moment in found.moments
        ],
        "rows": [_row(request) for request in found.tally.requests],
        "load": _load(found, hold_s),
        "installation": {"replicas": dict(found.workers)} if found.workers else None,
        "measured": found.measured.model_dump(mode="json") if found.measured else None,
    }


def served(metrics: Samples) -> dict[str, int]:
    """Return how many requests the platform says it has answered, by `METHOD route status`."""
    labels = ("http_request_method", "http_route", "http_response_status_code")
    counts = metrics.by("http_server_request_duration_seconds_count", *labels)
    return {" ".join(key): round(count) for key, count in sorted(counts.items()) if round(count)}


def _kind(requests: Sequence[Request], kind: str, stages: Sequence[Stage], hold_s: float, end_s: float) -> Report:
    mine = [request for request in requests if request.kind == kind]
    held = [request for request in mine if hold_s <= request.due_s < end_s]
    by_stage, start_s = [], 0.0
    for stage in stages:
        those = [request for request in mine if start_s <= request.due_s < start_s + stage.seconds]
        by_stage.append({"part": stage.part, **figures(those, stage.seconds)})
        start_s += stage.seconds
    return {**figures(held, max(end_s - hold_s, 1e-9)), "whole_run": figures(mine, end_s), "by_stage": by_stage}


def figures(requests: Sequence[Request], seconds: float) -> Report:
    """Return the figures of requests that were due within so many seconds."""
    good = [request for request in requests if request.answered]
    wrong = Counter(request.error for request in requests if request.error)
    factors = [
        (request.end_s - (request.began_s or request.due_s)) / request.sound_s
        for request in good
        if request.sound_s and request.end_s is not None
    ]
    return {
        "offered": len(requests),
        "offered_per_s": round(len(requests) / seconds, 5),
        "done": len(good),
        "done_per_s": round(len(good) / seconds, 5),
        "errors": {error: count for error, count in sorted(wrong.items()) if not is_refusal(error)},
        "refused": sum(count for error, count in wrong.items() if is_refusal(error)),
        "refusals": sum(request.refusals for request in requests),
        "seconds": _spread([request.end_s - request.due_s for request in good if request.end_s is not None]),
        "first_s": _spread([request.first_s - request.due_s for request in good if request.first_s is not None]),
        "token_s": _spread([request.token_s - request.due_s for request in good if request.token_s is not None]),
        "real_time_factor": _spread(factors),
        "sound_s": round(sum(request.sound_s for request in good), 3),
        "tokens": sum(request.tokens for request in good),
    }


def _lanes(metrics: Samples) -> Report:
    waits = dict(_of(metrics, "antiphon_job_wait_seconds", "lane", "priority"))
    attempts = dict(_of(metrics, "antiphon_job_seconds", "lane"))
    stages = dict(_of(metrics, "antiphon_stage_seconds", "lane", "stage"))
    ended = metrics.by("antiphon_jobs_total", "lane", "status")
    lanes: Report = {}
    for (lane,), attempt in sorted(attempts.items()):
        own = {stage: one for (of, stage), one in stages.items() if of == lane}
        lanes[lane] = {
            "jobs": {status: round(count) for (of, status), count in ended.items() if of == lane and round(count)},
            "wait_s": {priority: _histogram(one) for (of, priority), one in waits.items() if of == lane},
            "attempt_s": _histogram(attempt),
            "stages_s": {stage: _histogram(one) for stage, one in sorted(own.items())},
            # Stages may overlap, as decoding and recognising do; then there is no rest.
            "rest_mean_s": max(
                0.0, round(attempt.mean_s - sum(one.total_s for one in own.values()) / attempt.count, 6)
            ),
        }
    return lanes


def _of(metrics: Samples, name: str, *labels: str) -> list[tuple[tuple[str, ...], Any]]:
    return sorted(metrics.histogram(name, *labels).items())


def _histogram(one: Any) -> Report:
    return {
        "count": one.count,
        "mean_s": round(one.mean_s, 6),
        "p50_s": round(one.at(0.5), 6),
        "p95_s": round(one.at(0.95), 6),
    }


def _processors(moments: Sequence[Moment], hold_s: float, end_s: float) -> dict[str, float]:
    held = [moment for moment in moments if hold_s <= moment.at_s < end_s] or list(moments)
    names = sorted({name for moment in held for name in moment.processors} - {CLIENT})
    return {name: round(fmean(moment.processors.get(name, 0.0) for moment in held), 4) for name in names}


def _harness(found: Found) -> Report:
    late = [
        request.began_s - request.due_s
        for request in found.tally.requests
        if request.began_s is not None and request.kind != "sessions"
    ]
    return {
        "processors": round(found.client_s / max(found.ended_s, 1e-9), 4),
        "late_s": _spread([max(0.0, seconds) for seconds in late]),
    }


def _row(request: Request) -> list[Any]:
    times = (request.due_s, request.first_s, request.end_s)
    return [request.kind, *(None if one is None else round(one, 4) for one in times), request.error]


def _load(found: Found, hold_s: float) -> Report:
    """Return what came as a plan takes it: the rates that were asked for, the sizes that there were."""
    options, sounds = found.options, found.sounds
    rates = options.load
    lengths = [round(clip.duration_s, 3) for clip in sounds.files]
    questions = [round(clip.duration_s, 3) for clip in sounds.questions]
    load: Report = {}
    if rates["files"]:
        load["files"] = {"per_hour": rates["files"] * 60, "lengths_s": lengths}
    if rates["jobs"]:
        load["jobs"] = {"per_hour": rates["jobs"] * 60, "lengths_s": lengths, "batch": options.batch}
    if rates["speech"]:
        load["speech"] = {"per_minute": rates["speech"], "lengths": [len(text) for text in TEXTS]}
    if rates["chat"]:
        load["chat"] = {"per_minute": rates["chat"], "questions_s": questions, **_answers(found, "chat")}
    if rates["sessions"]:
        turns = [request for request in found.tally.requests if request.kind == "sessions" and request.answered]
        load["sessions"] = {
            "held": rates["sessions"],
            "questions_s": questions,
            "pause_s": round(_pause_s(turns), 3),
            **_answers(found, "sessions"),
        }
    return load


def _answers(found: Found, kind: str) -> Report:
    """Return how long answers were, and how much of each its first sentence was."""
    written = [one for one in found.tally.requests if one.kind == kind and one.written and one.tokens]
    if not written:
        return {"tokens": float(TOKENS), "sentence_tokens": _SENTENCE_TOKENS}
    sentences = [one.tokens * len(_sentence(one.written)) / len(one.written) for one in written]
    return {
        "tokens": round(fmean(one.tokens for one in written), 2),
        "sentence_tokens": round(max(1.0, fmean(sentences)), 2),
    }


def _sentence(text: str) -> str:
    sentences = SentenceStream()
    found = sentences.feed(text) or sentences.finish()
    return found[0] if found else text


def _pause_s(turns: Sequence[Request]) -> float:
    """Return the mean time from the end of an answer to the end of the next question."""
    pauses = []
    last: dict[int | None, float] = {}
    for turn in sorted(turns, key=lambda one: one.due_s):
        if turn.session in last:
            pauses.append(turn.due_s - last[turn.session])
        if turn.end_s is not None:
            last[turn.session] = turn.end_s
    return fmean(pauses) if pauses else _PAUSE_S


def _spread(seconds: Sequence[float]) -> dict[str, float] | None:
    spread = Spread.of(seconds)
    return spread.as_dict() if spread else None
