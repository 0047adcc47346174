"""Three times as many calls as can be served: what becomes of those that are accepted, and of those sent away."""

from __future__ import annotations

import asyncio
import itertools
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import httpx

from tests.bench.clips import cut_clips
from tests.bench.figures import Aim, Figure
from tests.bench.requests import transcribe
from tests.bench.rounds import percentile

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from tests.bench.clips import Clip
    from tests.bench.platform import Door

PART = "oversubscription: calls at three times the rate that can be served, for a while"
MAX_WAIT_S = 5
_TIMES = 3.0
_CALLERS = 16
_CONNECTIONS = 512
_PATIENCE = 6
"""How often a caller comes back before the benchmark gives up on it."""
_EARLY = 4
"""Every so manieth caller that was sent away comes back in half the time, to see whether a place was free already."""


@dataclass
class Visit:
    """One caller: when it was sent away and for how long, and when it was let in."""

    told_s: float = 0.0
    early: bool = False
    waited_s: float | None = None
    """From the first refusal to the place."""
    let_in_early: bool = False
    refusals: int = 0
    both_headers: bool = True


@dataclass
class Crowd:
    """What became of all callers."""

    visits: list[Visit] = field(default_factory=list)
    answered: int = 0
    broken: int = 0
    seconds: list[float] = field(default_factory=list)


async def measure(door: Door, folder: Path, *, quick: bool) -> list[Figure]:
    """Measure the capacity, exceed it, and follow every caller. `folder` takes the clips."""
    clips = await cut_clips(folder)
    async with door.client(connections=_CONNECTIONS) as client:
        await _capacity(client, clips, calls=_CALLERS)
        capacity = await _capacity(client, clips, calls=32 if quick else 96)
        crowd = await _open_loop(client, clips, rate=_TIMES * capacity, seconds=30 if quick else 180)
    return _figures(crowd, capacity)


async def _capacity(client: httpx.AsyncClient, clips: Sequence[Clip], *, calls: int) -> float:
    """Return calls a second when there is always one more waiting; they come back when they are told to."""
    left = iter(list(itertools.islice(itertools.cycle(clips), calls)))

    async def call() -> None:
        for clip in left:
            while True:
                try:
                    await transcribe(client, clip, language="en")
                    break
                except httpx.HTTPStatusError as error:
                    if error.response.status_code != httpx.codes.TOO_MANY_REQUESTS:
                        raise
                    await asyncio.sleep(_told_s(error.response))

    start = time.perf_counter()
    async with asyncio.TaskGroup() as group:
        for _ in range(_CALLERS):
            group.create_task(call())
    return calls / (time.perf_counter() - start)


async def _open_loop(client: httpx.AsyncClient, clips: Sequence[Clip], *, rate: float, seconds: float) -> Crowd:
    crowd = Crowd()
    start = time.perf_counter()
    async with asyncio.TaskGroup() as group:
        for number, clip in enumerate(itertools.islice(itertools.cycle(clips), round(rate * seconds))):
            await asyncio.sleep(max(0.0, start + number / rate - time.perf_counter()))
            group.create_task(_visit(client, clip, crowd, number))
    return crowd


async def _visit(client: httpx.AsyncClient, clip: Clip, crowd: Crowd, number: int) -> None:
    visit = Visit()
    crowd.visits.append(visit)
    refused_s = 0.0
    for attempt in range(_PATIENCE + 1):
        asked_s = time.perf_counter()
        try:
            # No two callers ask for the same: a refused one is known again by what it asks for.
            await transcribe(client, clip, language="en", prompt=f"Call {number}.")
        except httpx.HTTPStatusError as error:
            if error.response.status_code != httpx.codes.TOO_MANY_REQUESTS:
                crowd.broken += 1
                return
            told_s = _told_s(error.response)
            visit.refusals += 1
            visit.both_headers &= {"retry-after", "retry-after-ms"} <= set(error.response.headers)
            if attempt == 0:
                refused_s, visit.told_s = time.perf_counter(), told_s
                visit.early = sum(each.refusals > 0 for each in crowd.visits) % _EARLY == 0
            # An early one looks once at half its time, and is patient from then on.
            halved = visit.early and attempt < 2
            await asyncio.sleep(visit.told_s / 2 if halved else told_s)
            continue
        except httpx.HTTPError:
            crowd.broken += 1
            return
        crowd.answered += 1
        crowd.seconds.append(time.perf_counter() - asked_s)
        if visit.refusals:
            visit.waited_s = asked_s - refused_s
            visit.let_in_early = visit.early and attempt == 1
        return


def _told_s(reply: httpx.Response) -> float:
    """Return when to come back as the official clients read it: milliseconds first."""
    if told := reply.headers.get("retry-after-ms"):
        return float(told) / 1000
    return float(reply.headers["retry-after"])


def _figures(crowd: Crowd, capacity: float) -> list[Figure]:
    refused = [visit for visit in crowd.visits if visit.refusals]
    admitted = crowd.answered + crowd.broken
    patient = [visit for visit in refused if not visit.early]
    early = [visit for visit in refused if visit.early]
    in_time = [visit for visit in patient if visit.waited_s is not None and visit.waited_s <= 2 * visit.told_s]
    at_once = [visit for visit in patient if visit.refusals == 1]
    figures = [
        Figure(PART, "calls a second that can be served", "calls/s", capacity, None, "value", capacity),
        _share("calls that were refused at first", len(refused), len(crowd.visits)),
        _share("accepted calls that were answered", crowd.answered, admitted, Aim(">=", 100.0)),
        _share(
            "refusals with both retry headers", sum(v.both_headers for v in refused), len(refused), Aim(">=", 100.0)
        ),
        _share("found a place when they came back as told", len(at_once), len(patient)),
        _share("found a place within twice the time told", len(in_time), len(patient), Aim(">=", 90.0)),
        _share("found none in half the time told", sum(not v.let_in_early for v in early), len(early), Aim(">=", 90.0)),
    ]
    ratios = [visit.waited_s / visit.told_s for visit in patient if visit.waited_s is not None and visit.told_s]
    for name, part in (("p50", 0.5), ("p90", 0.9)):
        if ratios:
            value = percentile(ratios, part)
            figures.append(
                Figure(PART, f"time until there was a place / time told, {name}", "x", value, None, "value", value)
            )
    told = [visit.told_s for visit in refused]
    for name, seconds in (("time told", told), ("time of an accepted call", crowd.seconds)):
        if seconds:
            figures.append(_median(name, seconds))
    return figures


def _median(name: str, seconds: Sequence[float]) -> Figure:
    value = percentile(seconds, 0.5)
    return Figure(
        PART, f"{name}, p50", "s", value, None, "value", value, note=f"(p95 {percentile(seconds, 0.95):.1f} s)"
    )


def _share(name: str, part: int, whole: int, aim: Aim | None = None) -> Figure:
    share = 100.0 * part / whole if whole else 100.0
    return Figure(PART, name, "%", share, None, "value", share, aim, note=f"({part} of {whole})")
