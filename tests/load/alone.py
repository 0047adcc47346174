"""Each kind of work by itself, a few at a time: the service times that a plan is made from."""

from __future__ import annotations

import asyncio
import itertools
import os
import time
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from random import Random
from statistics import fmean
from typing import TYPE_CHECKING

from antiphon.planning.measured import Kept, Measured, Point, Service, Share, Talk
from tests.load.callers import Callers
from tests.load.jobs import send_jobs
from tests.load.left import left_behind, sizes_of_keys
from tests.load.sessions import SILENCE_MS, Talker
from tests.load.tally import Request, Tally
from tests.load.watch import Clock

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from tests.bench.platform import Door
    from tests.load.left import Sizes
    from tests.load.options import Options

_SHORT = "The train leaves at nine."
_TOKENS = 40
_LISTENERS = 2
_WINDOW_S, _PIECE_CHARACTERS = 30.0, 200.0
_SEATS = {"transcribe": 4, "synthesize": 1, "respond": 8}
"""As the services are set by default: two calls of two windows each, one voice, eight conversations."""


@dataclass
class Alone:
    """Measures at a platform of ours, with nobody else there."""

    door: Door
    callers: Callers
    options: Options
    clock: Clock
    say: Callable[[str], None]
    kept: dict[str, tuple[Kept, ...]] = field(default_factory=dict)
    door_s: float = 0.0
    server_s: float = 0.0
    requests: int = 0

    async def measure(self, command: str, machine: str) -> Measured:
        """Return the figures. Raises `RuntimeError` when work that nothing stands in the way of fails."""
        services: dict[str, Service] = {}
        load = self.options.load
        spoken = load["chat"] or load["sessions"]
        if load["files"] or load["jobs"] or spoken:
            services["transcribe"] = await self._hearing()
        if load["speech"] or spoken:
            services["synthesize"] = await self._speaking()
        talk = Talk(characters_per_token=4.5, silence_s=SILENCE_MS / 1000)
        if spoken:
            services["respond"], talk = await self._answering()
        if load["chat"]:
            await self._leaving("chat", lambda: self._each(lambda: self.callers.chat(self.callers.tally.now()), 2), 2)
        if load["jobs"]:
            jobs = self.options.batch
            await self._leaving("jobs", lambda: send_jobs(self.callers, self.callers.tally.now(), count=jobs), jobs)
        sessions, session_bytes = await self._listening() if load["sessions"] else ({}, 0.0)
        memory = self.clock.memory_mib()
        return Measured(
            command=command,
            machine=machine,
            processors=os.cpu_count() or 1,
            services=services,
            door=self._share("ingest", self.door_s, sessions, memory),
            realtime=self._share("realtime", 0.0, sessions, memory),
            server=self._share("server", self.server_s, sessions, memory),
            talk=talk,
            kept=self.kept,
            session_bytes=session_bytes,
        )

    async def _hearing(self) -> Service:
        short, long = self.callers.sounds.questions[0], self.callers.sounds.files[-1]

        async def hear() -> Request:
            return await self._one("files", lambda request: self.callers.transcribe(request, short))

        async def hear_long() -> Request:
            return await self._one("files", lambda request: self.callers.transcribe(request, long))

        await hear()
        points = [await self._point("transcriber", hear, 1)]
        await self._leaving("files", lambda: self._each(hear, 4), 4)
        long_s = fmean([_seconds(await hear_long()) for _ in range(3)])
        points += [await self._point("transcriber", hear, count) for count in (2, 4, 8)]
        fixed_s, unit_s = line_through(short.duration_s, 1 / points[0].jobs_per_s, long.duration_s, long_s)
        return Service(
            unit="second of sound",
            fixed_s=fixed_s,
            unit_s=unit_s,
            turn_units=_WINDOW_S,
            points=rising(points),
            seats=_SEATS["transcribe"],
            bulk_apart=True,
            memory_mib=self.clock.memory_mib().get("transcriber", 0.0),
        )

    async def _speaking(self) -> Service:
        long = "She said that the bread was fresh, and that it had been baked this morning by her own sister. " * 3

        async def speak(text: str) -> Request:
            return await self._one("speech", lambda request: self.callers.speak(request, text))

        await speak(_SHORT)
        points = [await self._point("synthesizer", lambda: speak(_SHORT), 1)]
        await self._leaving("speech", lambda: self._each(lambda: speak(_SHORT), 4), 4)
        longer = [await speak(long) for _ in range(3)]
        points += [await self._point("synthesizer", lambda: speak(_SHORT), count) for count in (2, 4)]
        long_s = fmean(map(_seconds, longer))
        fixed_s, unit_s = line_through(len(_SHORT), 1 / points[0].jobs_per_s, len(long), long_s)
        first_s = fmean(
            [request.first_s - (request.began_s or 0.0) for request in longer if request.first_s is not None]
        )
        return Service(
            unit="character",
            fixed_s=fixed_s,
            unit_s=unit_s,
            turn_units=_PIECE_CHARACTERS,
            first_units=max(1.0, (first_s - fixed_s) / unit_s),
            points=rising(points),
            seats=_SEATS["synthesize"],
            memory_mib=self.clock.memory_mib().get("synthesizer", 0.0),
        )

    async def _answering(self) -> tuple[Service, Talk]:
        numbers = itertools.count(1)
        answers: list[Request] = []

        async def ask() -> Request:
            # No two questions are alike, lest their beginnings be remembered further than those of real ones.
            question = f"Tell me a story about {next(numbers)} foxes who live in a forest and love to sing."
            answered = await self._one(
                "chat", lambda request: self.callers.ask(request, question, spoken=False, tokens=_TOKENS)
            )
            answers.append(answered)
            return answered

        await ask()
        points = [await self._point("responder", ask, 1)]
        alone = [answer for answer in answers[1:] if answer.tokens > 1]
        tokens = fmean([answer.tokens for answer in alone])
        first_s = fmean([(answer.first_s or 0.0) - (answer.began_s or 0.0) for answer in alone])
        unit_s = (1 / points[0].jobs_per_s - first_s) / max(1.0, tokens - 1)
        points += [await self._point("responder", ask, count) for count in (2, 4)]
        characters = sum(len(answer.written) for answer in alone) / sum(answer.tokens for answer in alone)
        service = Service(
            unit="token",
            fixed_s=max(0.0, first_s - unit_s),
            unit_s=unit_s,
            points=rising(points),
            seats=_SEATS["respond"],
            memory_mib=self.clock.memory_mib().get("responder", 0.0),
        )
        return service, Talk(characters_per_token=characters, silence_s=SILENCE_MS / 1000)

    async def _listening(self) -> tuple[dict[str, float], float]:
        """Return the processors of a session that hears, by service, and its bytes in the server."""
        seconds = max(4.0, self.options.alone_s)
        quiet = Tally()
        talkers = [
            Talker(
                self.door,
                quiet,
                self.callers.sounds.questions,
                self.callers.names.sessions,
                Random(number),
                quiet_s=seconds + 3,
            )
            for number in range(_LISTENERS)
        ]
        async with AsyncExitStack() as stack:
            group = await stack.enter_async_context(asyncio.TaskGroup())
            for talker in talkers:
                group.create_task(talker.hold(1.0))
            await asyncio.sleep(1.5)
            before, began = self.clock.read(), time.perf_counter()
            await asyncio.sleep(seconds)
            passed = time.perf_counter() - began
            used = {name: (total - before[name]) / passed for name, total in self.clock.read().items()}
            sizes = await self._sizes()
        if wrong := [request.error for request in quiet.requests if request.error]:
            raise RuntimeError(f"a live session failed: {wrong[0]}")
        bytes_each = sum(size for name, (_, size, _) in sizes.items() if name == "session") / _LISTENERS
        return {name: value / _LISTENERS for name, value in used.items()}, bytes_each

    # -- one measurement --

    async def _point(self, worker: str, call: Callable[[], Awaitable[Request]], in_flight: int) -> Point:
        """Keep so many calls in flight for a while."""
        seconds: list[float] = []
        end_s = time.perf_counter() + self.options.alone_s
        before = self.clock.read()

        async def keep_on() -> None:
            while True:
                seconds.append(_seconds(await call()))
                if time.perf_counter() >= end_s:
                    return

        async with asyncio.TaskGroup() as group:
            for _ in range(in_flight):
                group.create_task(keep_on())
        used = {name: total - before[name] for name, total in self.clock.read().items()}
        self.door_s += used["ingest"]
        self.server_s += used.get("server", 0.0)
        self.requests += len(seconds)
        # By Little's law; the calls at the end, which have less company, weigh little.
        rate = in_flight / fmean(seconds)
        self.say(f"  {worker}, {in_flight} in flight: {len(seconds)} done, {rate * 60:.1f} a minute")
        return Point(in_flight=in_flight, jobs_per_s=rate, processors=used[worker] / len(seconds) * rate)

    async def _one(self, kind: str, work: Callable[[Request], Awaitable[None]]) -> Request:
        async with self.callers.tally.request(kind, self.callers.tally.now()) as request:
            await work(request)
        if request.error:
            raise RuntimeError(f"{kind}, alone: {request.error}")
        return request

    async def _each(self, call: Callable[[], Awaitable[object]], count: int) -> None:
        for _ in range(count):
            await call()

    async def _leaving(self, kind: str, work: Callable[[], Awaitable[None]], requests: int) -> None:
        """Do something and see which keys it leaves behind."""
        before = await self._sizes()
        await work()
        self.kept[kind] = left_behind(before, await self._sizes(), requests=requests)

    async def _sizes(self) -> Sizes:
        assert self.door.redis_url is not None
        return await sizes_of_keys(self.door.redis_url)

    def _share(self, name: str, used_s: float, sessions: dict[str, float], memory: dict[str, float]) -> Share:
        return Share(
            processors_per_request=used_s / self.requests if self.requests else 0.0,
            processors_per_session=max(0.0, sessions.get(name, 0.0)),
            memory_mib=memory.get(name, 0.0),
        )


def line_through(short: float, short_s: float, long: float, long_s: float) -> tuple[float, float]:
    """Return what a job takes in any case, and for each unit of its size, from two sizes."""
    unit_s = max((long_s - short_s) / (long - short), 1e-6)
    return max(0.0, short_s - unit_s * short), unit_s


def rising(points: list[Point]) -> tuple[Point, ...]:
    """Return points of which none is slower than one with less company: that is noise."""
    kept = [points[0]]
    for point in points[1:]:
        best = kept[-1].jobs_per_s
        kept.append(point.model_copy(update={"jobs_per_s": max(best, point.jobs_per_s)}))
    return tuple(kept)


def _seconds(request: Request) -> float:
    assert request.end_s is not None and request.began_s is not None
    return request.end_s - request.began_s
