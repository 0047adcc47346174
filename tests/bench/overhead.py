"""What the door and the bus add to a call of an engine: the same engine, called in this process, by turns."""

from __future__ import annotations

import asyncio
import os
import time
from functools import partial
from typing import TYPE_CHECKING

from antiphon.audio.vad import VoiceModel
from antiphon.models import Catalogue
from antiphon.recognition.driver import Driver
from antiphon.recognition.engine import Recognizer
from antiphon.recognition.loading import load_recognizer
from antiphon.recognition.settings import RecognitionSettings
from antiphon.recognition.transcription import Plan, Transcription
from services.synthesizer.engines import Synthesizer
from services.synthesizer.engines.hibari import Hibari
from services.synthesizer.engines.kokoro import Kokoro
from services.synthesizer.engines.pronunciation import Pronunciation
from services.synthesizer.pieces import pieces
from tests.bench.clips import SENTENCE, english_paths, read_clips, weights, write_silence
from tests.bench.figures import Aim, Figure
from tests.bench.requests import first_byte_s, transcribe
from tests.bench.rounds import Sample, compare, percentile, take_turns

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from pathlib import Path

    import httpx

    from antiphon.audio.samples import Samples
    from tests.bench.clips import Clip
    from tests.bench.platform import Door

PART = "door: what HTTP and the bus add to the same engine called in this process, p50"
_AIM = Aim("<=", 10.0)


async def measure(door: Door, folder: Path, *, quick: bool) -> list[Figure]:
    """Return the figures. `folder` takes a file that is made."""
    silence, clip = await read_clips([write_silence(folder / "silence.wav"), english_paths()[0]])
    figures = []
    recognizer = await asyncio.to_thread(_load_recognizer)
    voice = await asyncio.to_thread(VoiceModel, weights().folder("silero-vad"))
    async with door.client() as client, Driver(recognizer) as driver:
        for name, heard, rounds in (
            ("transcription of 2 s of silence: no model call", silence, 21 if quick else 101),
            (f"transcription of {clip.duration_s:.1f} s of speech", clip, 11 if quick else 51),
        ):
            figures.append(
                await _compare(
                    name,
                    partial(_transcribe_door, client, heard),
                    partial(_transcribe_here, driver, voice, heard),
                    rounds=rounds,
                )
            )
        for engine, model, voices in await asyncio.to_thread(_load_synthesizers):
            figures.append(
                await _compare(
                    f"first byte of speech, {model}",
                    partial(_speak_door, client, model, voices[0]),
                    partial(_run, _first_piece, engine, voices[1]),
                    rounds=11 if quick else 51,
                )
            )
    return figures


async def _compare(
    name: str, ours: Callable[[], Awaitable[Sample]], baseline: Callable[[], Awaitable[Sample]], *, rounds: int
) -> Figure:
    samples = await take_turns({"ours": ours, "engine": baseline}, rounds=rounds)
    compared = compare(samples["ours"], samples["engine"], "ms")
    undisturbed = percentile([s["ms"] for s in samples["ours"]], 0.25) - percentile(
        [s["ms"] for s in samples["engine"]], 0.25
    )
    return Figure(
        PART,
        name,
        "ms",
        compared.ours,
        compared.baseline,
        "difference",
        compared.difference,
        _AIM,
        note=f"(difference of the lower quartiles: {undisturbed:+.1f} ms)",
    )


async def _transcribe_door(client: httpx.AsyncClient, clip: Clip) -> Sample:
    start = time.perf_counter()
    await transcribe(client, clip)
    return {"ms": (time.perf_counter() - start) * 1e3}


class _Sound:
    """A recording that is decoded already."""

    def __init__(self, samples: Samples) -> None:
        self._samples = samples

    async def available(self, samples: int) -> int:
        return len(self._samples)

    def read(self, start: int, stop: int) -> Samples:
        return self._samples[start:stop].copy()


async def _transcribe_here(driver: Driver, voice: VoiceModel, clip: Clip) -> Sample:
    start = time.perf_counter()
    plan = Plan(task="transcribe")
    with driver.turns(job="bench", priority="std") as turn:
        async for _ in Transcription(_Sound(clip.samples), plan, turn=turn, voice=voice).states(plan.begin()):
            pass
    return {"ms": (time.perf_counter() - start) * 1e3}


async def _speak_door(client: httpx.AsyncClient, model: str, voice: str) -> Sample:
    first_s = await first_byte_s(client, model=model, voice=voice, text=SENTENCE, audio_format="pcm")
    return {"ms": first_s * 1e3}


async def _run(call: Callable[..., object], *args: object) -> Sample:
    """Call a function in a thread, as a service does."""
    start = time.perf_counter()
    await asyncio.to_thread(call, *args)
    return {"ms": (time.perf_counter() - start) * 1e3}


def _first_piece(engine: Synthesizer, voice: str) -> None:
    piece = next(iter(pieces(SENTENCE, engine.limits)))
    next(iter(engine.speak(piece.text, voice=voice, speed=1.0)))


def _load_recognizer() -> Recognizer:
    model = Catalogue.load().resolve("whisper-1", "transcribe")
    return load_recognizer(model, store=weights(), settings=RecognitionSettings.from_environment())


def _load_synthesizers() -> list[tuple[Synthesizer, str, tuple[str, str]]]:
    """Return engines with the model and voice to ask the door for, and the engine's own name of that voice."""
    pronunciation = Pronunciation()
    hibari = Hibari(None, pronunciation=pronunciation)
    kokoro = Kokoro(weights().folder("kokoro"), threads=os.cpu_count() or 1, pronunciation=pronunciation)
    return [(hibari, "hibari", ("hibari", hibari.voices()[0])), (kokoro, "kokoro", ("af_heart", "af_heart"))]
