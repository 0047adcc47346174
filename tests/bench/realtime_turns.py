"""A spoken turn by its stages: what the platform adds to the engines and to the silence that it waits for."""

from __future__ import annotations

import asyncio
import time
from contextlib import asynccontextmanager
from dataclasses import dataclass
from statistics import median
from typing import TYPE_CHECKING, Any

from antiphon.audio.vad import VoiceModel
from antiphon.recognition.driver import Driver
from antiphon.speech import SentenceStream
from services.synthesizer.engines.hibari import Hibari
from services.synthesizer.engines.pronunciation import Pronunciation
from services.synthesizer.pieces import pieces as pieces_of
from tests.bench.clips import Clip, english_paths, read_clips, weights
from tests.bench.figures import Aim, Figure
from tests.bench.overhead import _load_recognizer, _transcribe_here
from tests.bench.realtime_line import frames_of, open_line, pcm_of, silence
from tests.bench.requests import transcribe
from tests.bench.rounds import Sample, compare

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from tests.bench.chat_bare import BareEngine
    from tests.bench.platform import Door

MODEL = "bench-talk"
TOKENS = 40
SILENCE_MS = 500
EARLY_MS = 96
"""Silence after which a turn is recognised as if it were over: the rest of the wait hides the recogniser."""
_TASK = "You are told a sentence. Say in two short sentences what it makes you think of."
_STAGES = {
    "stopped": "end of speech → told that the turn is over",
    "heard": "… → its words",
    "text": "… → first text of the answer",
    "sound": "… → first sound of it",
}


@dataclass(frozen=True)
class _Engines:
    driver: Driver
    voice: VoiceModel
    synthesizer: Hibari


@dataclass(frozen=True)
class _Turn:
    """Milliseconds of each stage, the first sentence, and how many characters were written until it was known."""

    stages: Sample
    sentence: str
    characters: int


async def measure(door: Door, bare: BareEngine, *, quick: bool) -> list[Figure]:
    """Return the figures of the model that the platform knows as `MODEL`, whose engine is `bare`."""
    (clip,) = await read_clips(english_paths()[1:2])
    async with door.client() as client:
        said = await transcribe(client, clip)
    turns: list[_Turn] = []
    parts: list[Sample] = []
    async with _engines() as engines:
        for number in range(6 if quick else 22):
            turn = await _talk(door, clip)
            added = await _add_up(engines, bare, clip, said, turn)
            if number:
                # The first one warms all of them up.
                turns.append(turn)
                parts.append(added)
    stages = [turn.stages for turn in turns]
    part = f"realtime: a turn of {clip.duration_s:.1f} s of speech, {SILENCE_MS} ms of silence, by stage, p50"
    figures = []
    for stage, name in _STAGES.items():
        value = median(sample[stage] for sample in stages)
        figures.append(Figure(part, name, "ms", value, None, "value", value))
    whole = compare(stages, parts, "total")
    hidden = compare(stages, parts, "least")
    told = "end of speech → first sound, against silence and engines"
    split = ", ".join(f"{name} {median(each[name] for each in parts):.0f}" for name in ("recogniser", "model", "voice"))
    figures += [
        Figure(part, f"{told} one after the other", "ms", whole.ours, whole.baseline, "difference", whole.difference),
        Figure(
            part,
            f"{told}, the recogniser beginning {EARLY_MS} ms into the silence",
            "ms",
            hidden.ours,
            hidden.baseline,
            "difference",
            hidden.difference,
            Aim("<=", 30.0),
            f"(silence {SILENCE_MS}, {split} ms)",
        ),
    ]
    return figures


async def _talk(door: Door, clip: Clip) -> _Turn:
    """Hold one turn in a session of its own."""
    session: dict[str, Any] = {
        "type": "realtime",
        "instructions": _TASK,
        "max_output_tokens": TOKENS,
        "audio": {
            "input": {
                "transcription": {"model": "whisper-1", "language": "en"},
                "turn_detection": {"type": "server_vad", "silence_duration_ms": SILENCE_MS},
            }
        },
    }
    frames = frames_of(silence(600) + pcm_of(clip.samples) + silence(3000))
    async with open_line(door, f"model={MODEL}", session) as line:
        speaking = asyncio.create_task(line.stream(frames))
        stopped_s, stopped = await line.until("input_audio_buffer.speech_stopped")
        heard_s, _ = await line.until("conversation.item.input_audio_transcription.completed")
        text_s, _ = await line.until("response.output_audio_transcript.delta")
        sound_s, _ = await line.until("response.output_audio.delta")
        await line.until("response.done")
        await speaking
        # As the detection hears it: what it waits for is the silence after this moment.
        end_s = line.sent_at(stopped["audio_end_ms"] - SILENCE_MS)
        pieces = [event["delta"] for _, event in line.came if event["type"] == "response.output_audio_transcript.delta"]
    total = (sound_s - end_s) * 1e3
    stages = {
        "stopped": (stopped_s - end_s) * 1e3,
        "heard": (heard_s - stopped_s) * 1e3,
        "text": (text_s - max(heard_s, stopped_s)) * 1e3,
        "sound": (sound_s - text_s) * 1e3,
        "total": total,
        "least": total,
    }
    sentences, written = SentenceStream(), ""
    for piece in pieces:
        written += piece
        if found := sentences.feed(piece):
            return _Turn(stages, found[0], len(written))
    return _Turn(stages, sentences.finish()[0], len(written))


async def _add_up(engines: _Engines, bare: BareEngine, clip: Clip, said: str, turn: _Turn) -> Sample:
    """Call one engine after the other: the model writes as much as it wrote in the turn before it was spoken."""
    recogniser = (await _transcribe_here(engines.driver, engines.voice, clip))["ms"]
    messages = [{"role": "system", "content": _TASK}, {"role": "user", "content": said}]
    written = await bare.ask(messages, TOKENS)
    model, length = written.total_s * 1e3, 0
    for passed_s, text in written.pieces:
        length += len(text)
        if length >= turn.characters:
            model = passed_s * 1e3
            break
    started = time.perf_counter()
    await asyncio.to_thread(_first_sound, engines.synthesizer, turn.sentence)
    voice = (time.perf_counter() - started) * 1e3
    late = max(0.0, recogniser - (SILENCE_MS - EARLY_MS))
    return {
        "recogniser": recogniser,
        "model": model,
        "voice": voice,
        "total": SILENCE_MS + recogniser + model + voice,
        "least": SILENCE_MS + late + model + voice,
    }


def _first_sound(engine: Hibari, sentence: str) -> None:
    piece = next(iter(pieces_of(sentence, engine.limits)))
    next(iter(engine.speak(piece.text, voice=engine.voices()[0], speed=1.0)))


@asynccontextmanager
async def _engines() -> AsyncIterator[_Engines]:
    recognizer = await asyncio.to_thread(_load_recognizer)
    voice = await asyncio.to_thread(VoiceModel, weights().folder("silero-vad"))
    hibari = await asyncio.to_thread(lambda: Hibari(None, pronunciation=Pronunciation()))
    async with Driver(recognizer) as driver:
        yield _Engines(driver, voice, hibari)
