"""What each service holds in memory: at rest, and after hundreds of requests of all kinds."""

from __future__ import annotations

import asyncio
import itertools
from statistics import mean
from typing import TYPE_CHECKING

import httpx
import psutil

from tests.bench.clips import SENTENCE, english_paths, read_clips, write_silence
from tests.bench.figures import Aim, Figure
from tests.bench.requests import first_byte_s, transcribe

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from pathlib import Path

    from tests.bench.clips import Clip
    from tests.bench.platform import Door

PART = "memory: resident, of each service's own process"
_MIB = 2**20
_CALLERS = 4
_SAMPLES = 40
_AIMS = {"ingest": 150.0, "transcriber": 600.0, "translator": 600.0, "synthesizer": 900.0, "webhooks": 100.0}
_GROWTH_AIM = Aim("<=", 10.0)


async def measure(door: Door, folder: Path, *, quick: bool) -> list[Figure]:
    """Return the figures of a platform that has served nothing yet. `folder` takes files that are made."""
    services = door.services()
    rest = {name: _resident_mib(process) for name, process in services.items()}
    requests = 60 if quick else 500
    curves = await _load(door, services, folder, requests=requests)
    figures = []
    for name, process in sorted(services.items()):
        aim = Aim("<=", _AIMS[name]) if name in _AIMS else None
        figures += [
            _value(f"{name}, at rest", rest[name], aim),
            _value(f"{name}, after {requests} requests", _resident_mib(process), aim, note=_split(process)),
            # Sixty requests are still the warm-up.
            _value(f"{name}, growth over the last quarter", _growth(curves[name]), None if quick else _GROWTH_AIM),
        ]
    return figures


async def _load(
    door: Door, services: dict[str, psutil.Process], folder: Path, *, requests: int
) -> dict[str, list[float]]:
    """Send requests of all kinds by turns; return each service's memory along the way, in MiB."""
    clips = await read_clips([*english_paths(), write_silence(folder / "0.wav")])
    curves: dict[str, list[float]] = {name: [] for name in services}
    numbers = iter(range(requests))
    every = max(requests // _SAMPLES, 1)
    async with door.client() as client:
        kinds = list(itertools.islice(itertools.cycle(_kinds(client, clips)), requests))

        async def call() -> None:
            for number in numbers:
                await kinds[number]()
                if number % every == 0:
                    for name, process in services.items():
                        curves[name].append(_resident_mib(process))

        async with asyncio.TaskGroup() as group:
            for _ in range(_CALLERS):
                group.create_task(call())
    return curves


def _kinds(client: httpx.AsyncClient, clips: list[Clip]) -> list[Callable[[], Awaitable[object]]]:
    """Return requests of every kind, good and bad."""
    short, *others = clips

    def speak(model: str, audio_format: str) -> Awaitable[object]:
        voice = "hibari" if model == "hibari" else "alloy"
        return first_byte_s(client, model=model, voice=voice, text=SENTENCE, audio_format=audio_format)

    async def translate() -> None:
        form = {"model": "whisper-1"}
        reply = await client.post("/audio/translations", files={"file": ("a.wav", short.data)}, data=form)
        reply.raise_for_status()

    async def garbage() -> None:
        form = {"model": "whisper-1"}
        reply = await client.post("/audio/transcriptions", files={"file": ("a.wav", b"RIFF" + bytes(5000))}, data=form)
        assert reply.status_code == httpx.codes.BAD_REQUEST, reply.text

    async def streamed() -> None:
        form = {"model": "gpt-4o-transcribe", "stream": "true"}
        reply = await client.post("/audio/transcriptions", files={"file": ("a.wav", short.data)}, data=form)
        reply.raise_for_status()

    async def words() -> None:
        fields = {"response_format": "verbose_json", "timestamp_granularities[]": "word"}
        await transcribe(client, short, **fields)

    return [
        lambda: transcribe(client, short),
        lambda: speak("hibari", "mp3"),
        words,
        lambda: speak("kokoro", "opus"),
        garbage,
        streamed,
        lambda: transcribe(client, others[0]),
        translate,
        lambda: speak("hibari", "wav"),
        lambda: transcribe(client, others[-1]),
    ]


def _growth(curve: list[float]) -> float:
    quarter = max(len(curve) // 4, 1)
    return mean(curve[-quarter:]) - mean(curve[-2 * quarter : -quarter] or curve)


def _resident_mib(process: psutil.Process) -> float:
    rss: int = process.memory_info().rss
    return rss / _MIB


def _split(process: psutil.Process) -> str:
    """Say how much of it is the process's alone, and what its children have."""
    children = process.children(recursive=True)
    alone = process.memory_full_info().uss / _MIB
    theirs = sum(child.memory_full_info().uss for child in children) / _MIB
    rest = f", {len(children)} decoders {theirs:.0f}" if children else ""
    return f"(unshared {alone:.0f}{rest})"


def _value(name: str, value: float, aim: Aim | None, note: str = "") -> Figure:
    return Figure(PART, name, "MiB", value, None, "value", value, aim, note)
