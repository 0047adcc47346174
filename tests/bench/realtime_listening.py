"""What sessions cost that listen: processor time, how many of them stay quick at once, and memory."""

from __future__ import annotations

import asyncio
import random
from contextlib import AsyncExitStack
from typing import TYPE_CHECKING, Any

import psutil

from tests.bench.clips import english_paths, read_clips
from tests.bench.figures import Aim, Figure
from tests.bench.realtime_line import CHUNK_MS, Line, frames_of, open_line, pcm_of, silence
from tests.bench.rounds import percentile

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tests.bench.platform import Door

PART = f"realtime: sessions that listen, {CHUNK_MS} ms chunks, half speech and half silence"
MODEL = "qwen2.5-coder-0.5b"
_COST_AIM, _QUICK_MS = Aim("<=", 0.02), 50.0
_AHEAD_MS = 2
"""The sound that a filter has to know behind a moment: at the end of a chunk it is in the next one."""
_BUS = ("redis-server", "valkey-server")
_MIB = 2**20
SESSION: dict[str, Any] = {
    "type": "realtime",
    "audio": {
        "input": {"turn_detection": {"type": "server_vad", "silence_duration_ms": 500, "create_response": False}}
    },
}
"""Turns are found and committed; nothing is recognised or answered, so that no engine is in the figures."""


class Clock:
    """Adds up the processor time of the door, the workers of sessions, and the server of the bus."""

    def __init__(self, door: Door) -> None:
        services = door.services()
        self.door = services["ingest"]
        self.workers = [process for name, process in services.items() if name.startswith("realtime")]
        children = psutil.Process(door.pid).children(recursive=True)
        self._server = next(child for child in children if child.name().startswith(_BUS))

    def read(self) -> dict[str, float]:
        """Return the seconds that each has used so far."""
        parts = {"ingest": [self.door], "realtime": self.workers, "server": [self._server]}
        return {name: sum(sum(process.cpu_times()[:2]) for process in those) for name, those in parts.items()}

    def memory_mib(self) -> float:
        """Return what the door and the workers hold."""
        return sum(process.memory_info().rss for process in [self.door, *self.workers]) / _MIB


async def measure(door: Door, *, quick: bool) -> list[Figure]:
    """Return the figures."""
    minute = await _minute()
    clock = Clock(door)
    seconds = 12 if quick else 30
    rest = await _rest(clock, seconds)
    figures = []
    for sessions in (1, 8):
        used, _ = await _listen(door, clock, minute, sessions=sessions, seconds=seconds)
        each = {name: used_s / (sessions * seconds) for name, used_s in used.items()}
        total = each["ingest"] + each["realtime"]
        split = ", ".join(f"{name} {used_s:.4f}" for name, used_s in each.items())
        named = f"processor time of ingest and worker for a second of audio, {sessions} session{'s'[: sessions > 1]}"
        note = f"({split}; at rest {(rest['ingest'] + rest['realtime']) / seconds:.4f} a second)"
        figures.append(Figure(PART, named, "s", total, None, "value", total, _COST_AIM, note))
    figures += await _most(door, clock, minute, quick=quick)
    figures.append(await _growth(door, clock, minute, quick=quick))
    return figures


async def _minute() -> bytes:
    """Return a minute of sound: sentences, and as much silence between them."""
    sound = b""
    for clip in await read_clips(english_paths()):
        spoken = pcm_of(clip.samples)
        sound += spoken + silence(len(spoken) // 48)
    return (sound * 10)[: 60 * 48_000]


async def _rest(clock: Clock, seconds: int) -> dict[str, float]:
    before = clock.read()
    await asyncio.sleep(seconds)
    return {name: used_s - before[name] for name, used_s in clock.read().items()}


async def _listen(
    door: Door, clock: Clock, minute: bytes, *, sessions: int, seconds: float
) -> tuple[dict[str, float], list[float]]:
    """Stream to so many sessions at once; return the processor time used, and the latencies in milliseconds."""
    rng = random.Random(sessions)
    async with AsyncExitStack() as stack:
        lines = [await stack.enter_async_context(open_line(door, f"model={MODEL}", SESSION)) for _ in range(sessions)]
        starts = [rng.randrange(0, len(minute) // 2, 2 * 24 * CHUNK_MS) for _ in lines]
        count = int(seconds * 1000 / CHUNK_MS)
        frames = [frames_of((minute * 2)[start:])[:count] for start in starts]
        before = clock.read()

        async def stream(line: Line, own: Sequence[str]) -> None:
            await asyncio.sleep(rng.random() * CHUNK_MS / 1000)
            await line.stream(own)

        async with asyncio.TaskGroup() as group:
            for line, own in zip(lines, frames, strict=True):
                group.create_task(stream(line, own))
        used = {name: used_s - before[name] for name, used_s in clock.read().items()}
        await asyncio.sleep(0.5)
        return used, [latency for line in lines for latency in _latencies(line)]


def _latencies(line: Line) -> list[float]:
    """Return how long after the chunk that ended a turn the client was told, for each turn."""
    return [
        (moment - line.sent_at(event["audio_end_ms"] + _AHEAD_MS)) * 1e3
        for moment, event in line.came
        if event["type"] == "input_audio_buffer.speech_stopped"
    ]


async def _most(door: Door, clock: Clock, minute: bytes, *, quick: bool) -> list[Figure]:
    """Return how many sessions stay within the latency."""
    seconds, most, figures = (10 if quick else 20), 0, []
    for sessions in (8, 16, 32, 48) if quick else (8, 16, 24, 32, 40, 48, 56, 64):
        try:
            used, latencies = await _listen(door, clock, minute, sessions=sessions, seconds=seconds)
        except RuntimeError as refusal:
            figures.append(Figure(PART, f"{sessions} sessions", "", 0, None, "value", 0, note=f"({refusal})"))
            break
        p50, p95 = percentile(latencies, 0.5), percentile(latencies, 0.95)
        busy = sum(used.values()) / seconds
        note = f"(p50 {p50:.1f} ms, {len(latencies)} turns, {busy:.2f} processors with the server's)"
        figures.append(
            Figure(PART, f"end of a turn told, p95, {sessions} sessions", "ms", p95, None, "value", p95, note=note)
        )
        if p95 <= _QUICK_MS:
            most = sessions
        elif p95 > 4 * _QUICK_MS:
            break
    name = f"sessions whose turns end within {_QUICK_MS:.0f} ms, p95, the client on the same processors"
    return [*figures, Figure(PART, name, "", most, None, "value", most)]


async def _growth(door: Door, clock: Clock, minute: bytes, *, quick: bool) -> Figure:
    """Return what a session of an hour adds to the memory of door and workers, from sound as fast as it is taken."""
    warm, counted = (3, 6) if quick else (15, 45)
    frames = frames_of(minute)
    async with open_line(door, f"model={MODEL}", SESSION) as line:
        before = 0.0
        for number in range(warm + counted):
            if number == warm:
                before = clock.memory_mib()
            line.sent_s.clear()
            line.came.clear()
            await line.stream(frames, pace=0)
            await line.send("session.update", session=SESSION)
            await line.until("session.updated")
        grown = clock.memory_mib() - before
    an_hour = grown * 60 / counted
    note = f"({grown:+.1f} MiB in {counted} minutes of sound)"
    return Figure(PART, "memory that a session of an hour adds", "MiB", an_hour, None, "value", an_hour, note=note)
