"""A spoken question, a spoken answer: the time to its first sound, and the engines' share in each stage of it."""

from __future__ import annotations

import asyncio
import base64
import itertools
import os
import time
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from antiphon.audio.vad import VoiceModel
from antiphon.recognition.driver import Driver
from antiphon.speech import SentenceStream
from services.synthesizer.engines.kokoro import Kokoro
from services.synthesizer.engines.pronunciation import Pronunciation
from services.synthesizer.pieces import pieces
from tests.bench.chat_asking import SYSTEM, completion_body
from tests.bench.clips import Clip, english_paths, read_clips, weights, write_wav
from tests.bench.figures import Aim, Figure
from tests.bench.overhead import _load_recognizer, _transcribe_here
from tests.bench.requests import transcribe
from tests.bench.rounds import Sample, compare, take_turns

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator
    from pathlib import Path

    from services.synthesizer.engines import Synthesizer
    from tests.bench.chat_asking import Message, Written
    from tests.bench.chat_bare import BareEngine
    from tests.bench.chat_door import ChatDoor, ChatLine

TOKENS = 40
_VOICE = "af_heart"
_TASK = f"{SYSTEM} You are told a sentence. Say in two short sentences what it makes you think of."
_STAGES = {
    "heard": "the question is heard and the answer begins",
    "sentence": "… its first sentence is written",
    "sound": "… the first sound of it leaves",
}


@dataclass(frozen=True)
class Engines:
    """The recogniser and the synthesizer in this process."""

    driver: Driver
    voice: VoiceModel
    synthesizer: Synthesizer


async def measure(door: ChatDoor, bare: BareEngine, folder: Path, *, model: str, quick: bool) -> list[Figure]:
    """Return the figures. `folder` takes files that are made."""
    (clip,) = await read_clips(english_paths()[1:2])
    async with door.door.client() as client:
        said = await transcribe(client, clip)
    questions = _recordings(clip, folder)
    async with _engines() as engines:

        async def through_door() -> Sample:
            with door.connect() as line:
                return await asyncio.to_thread(_speak, line, next(questions))

        async def in_parts() -> Sample:
            return await _add_up(engines, bare, clip, said)

        samples = await take_turns({"door": through_door, "parts": in_parts}, rounds=4 if quick else 15)
    part = f"chat, {model}: first sound of the spoken answer to {clip.duration_s:.1f} s of speech, against the engines"
    total = compare(samples["door"], samples["parts"], "total")
    figures = [
        Figure(
            part,
            "from the question to the first sound",
            "ms",
            total.ours,
            total.baseline,
            "ratio",
            total.ratio,
            Aim("<=", 1.2),
        )
    ]
    for stage, name in _STAGES.items():
        compared = compare(samples["door"], samples["parts"], stage)
        figures.append(Figure(part, name, "ms", compared.ours, compared.baseline, "difference", compared.difference))
    return figures


def _speak(line: ChatLine, recording: bytes) -> Sample:
    """Ask aloud, and hear the answer to its end."""
    question = {"type": "input_audio", "input_audio": {"data": base64.b64encode(recording).decode(), "format": "wav"}}
    body = completion_body(_messages([question]), max_tokens=TOKENS) | {
        "modalities": ["text", "audio"],
        "audio": {"voice": _VOICE, "format": "pcm16"},
    }
    sentences = SentenceStream()
    times_s: dict[str, float] = {}
    start_s = time.perf_counter()
    for chunk in line.stream(body):
        now_s = time.perf_counter() - start_s
        for choice in chunk["choices"]:
            audio = choice["delta"].get("audio") or {}
            if text := audio.get("transcript"):
                times_s.setdefault("heard", now_s)
                if sentences.feed(text):
                    times_s.setdefault("sentence", now_s)
            if audio.get("data"):
                times_s.setdefault("sound", now_s)
    if missing := _STAGES.keys() - times_s:
        raise RuntimeError(f"a spoken answer without {sorted(missing)}")
    return _stages(**times_s)


async def _add_up(engines: Engines, bare: BareEngine, clip: Clip, said: str) -> Sample:
    """Call one engine after the other, each with what the one before it would give."""
    heard_s = (await _transcribe_here(engines.driver, engines.voice, clip))["ms"] / 1e3
    written = await bare.ask(_messages(said), TOKENS)
    written_s, sentence = _first_sentence(written)
    start_s = time.perf_counter()
    await asyncio.to_thread(_first_sound, engines.synthesizer, sentence)
    spoken_s = time.perf_counter() - start_s
    sentence_s = heard_s + written_s
    return _stages(heard=heard_s + written.first_s, sentence=sentence_s, sound=sentence_s + spoken_s)


def _first_sentence(written: Written) -> tuple[float, str]:
    """Return the first sentence, and after how many seconds it was known to have ended."""
    sentences = SentenceStream()
    for passed_s, text in written.pieces:
        if found := sentences.feed(text):
            return passed_s, found[0]
    raise RuntimeError(f"no sentence has come to its end: {written.text!r}")


def _stages(*, heard: float, sentence: float, sound: float) -> Sample:
    """Turn seconds since the question into the milliseconds of each stage."""
    return {
        "heard": heard * 1e3,
        "sentence": (sentence - heard) * 1e3,
        "sound": (sound - sentence) * 1e3,
        "total": sound * 1e3,
    }


def _first_sound(engine: Synthesizer, sentence: str) -> None:
    piece = next(iter(pieces(sentence, engine.limits)))
    next(iter(engine.speak(piece.text, voice=_VOICE, speed=1.0)))


def _messages(question: Any) -> list[Message]:
    return [{"role": "system", "content": _TASK}, {"role": "user", "content": question}]


def _recordings(clip: Clip, folder: Path) -> Iterator[bytes]:
    """Yield recordings of the same, no two alike: the platform knows a recording that it has heard before."""
    samples = clip.samples.copy()
    for number in itertools.count(1):
        samples[0] = number / 2**15
        yield write_wav(folder / "question.wav", samples).read_bytes()


@asynccontextmanager
async def _engines() -> AsyncIterator[Engines]:
    recognizer = await asyncio.to_thread(_load_recognizer)
    voice = await asyncio.to_thread(VoiceModel, weights().folder("silero-vad"))
    kokoro = await asyncio.to_thread(_load_synthesizer)
    async with Driver(recognizer) as driver:
        yield Engines(driver, voice, kokoro)


def _load_synthesizer() -> Synthesizer:
    return Kokoro(weights().folder("kokoro"), threads=os.cpu_count() or 1, pronunciation=Pronunciation())
