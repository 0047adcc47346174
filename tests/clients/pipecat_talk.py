"""pipecat: its realtime services in pipelines of its own; a turn in text, one in speech, and words alone."""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from loguru import logger
from pipecat.frames import frames
from pipecat.pipeline.pipeline import Pipeline
from pipecat.pipeline.runner import PipelineRunner
from pipecat.pipeline.task import PipelineParams, PipelineTask
from pipecat.processors.aggregators.llm_context import LLMContext
from pipecat.processors.frame_processor import FrameDirection, FrameProcessor
from pipecat.services.openai.realtime import events
from pipecat.services.openai.realtime.llm import OpenAIRealtimeLLMService
from pipecat.services.openai.stt import OpenAIRealtimeSTTService

BASE_URL, API_KEY, MODEL, SOUND = (os.environ[name] for name in ("BASE_URL", "API_KEY", "MODEL", "SOUND"))
URL = BASE_URL.replace("http", "ws", 1) + "/realtime"
RATE = 24_000
CHUNK_BYTES = 2 * RATE // 50
QUIET = bytes(72_000)

Frames = list[Any]


class Collector(FrameProcessor):  # type: ignore[misc, unused-ignore]
    """Keeps every frame that passes."""

    def __init__(self, kept: Frames) -> None:
        super().__init__()
        self._kept = kept

    async def process_frame(self, frame: Any, direction: FrameDirection) -> None:
        """Keep a frame and pass it on."""
        await super().process_frame(frame, direction)
        self._kept.append(frame)
        await self.push_frame(frame, direction)


async def run(service: Any, given: Sequence[Any], is_done: Callable[[Frames], bool]) -> Frames:
    """Send frames into a pipeline around a service until what came out is enough; return it."""
    kept: Frames = []
    params = PipelineParams(audio_in_sample_rate=RATE, audio_out_sample_rate=RATE)
    task = PipelineTask(Pipeline([Collector(kept), service, Collector(kept)]), params=params)
    running = asyncio.create_task(PipelineRunner(handle_sigint=False).run(task))
    await asyncio.sleep(0.5)
    for frame in given:
        await task.queue_frame(frame)
        if isinstance(frame, frames.InputAudioRawFrame):
            await asyncio.sleep(0.008)
    try:
        async with asyncio.timeout(40):
            while not is_done(kept):
                failed = [str(frame.error) for frame in kept if isinstance(frame, frames.ErrorFrame)]
                if failed:
                    raise RuntimeError(failed[0])
                await asyncio.sleep(0.05)
    finally:
        await task.cancel()
        await asyncio.wait([running], timeout=5)
    return kept


def spoken(sound: bytes) -> Frames:
    """Return sound as frames."""
    return [
        frames.InputAudioRawFrame(audio=sound[start : start + CHUNK_BYTES], sample_rate=RATE, num_channels=1)
        for start in range(0, len(sound), CHUNK_BYTES)
    ]


def sound_of(kept: Frames) -> int:
    """Return how many bytes of sound came."""
    return sum(len(frame.audio) for frame in kept if isinstance(frame, frames.TTSAudioRawFrame))


def has_answer(kept: Frames) -> bool:
    """Tell whether an answer has come to its end."""
    return sound_of(kept) > 0 and any(isinstance(frame, frames.LLMFullResponseEndFrame) for frame in kept)


def words_of(kept: Frames) -> str:
    """Return what was heard."""
    return " ".join(frame.text for frame in kept if isinstance(frame, frames.TranscriptionFrame))


def conversation() -> Any:
    """Return the service for conversations."""
    hearing = events.AudioInput(
        transcription=events.InputAudioTranscription(model="gpt-4o-transcribe"),
        turn_detection=events.TurnDetection(silence_duration_ms=400),
    )
    properties = events.SessionProperties(audio=events.AudioConfiguration(input=hearing))
    settings = OpenAIRealtimeLLMService.Settings(
        model=MODEL, system_instruction="Be brief.", session_properties=properties
    )
    return OpenAIRealtimeLLMService(api_key=API_KEY, base_url=URL, settings=settings)


async def main() -> None:
    """Talk."""
    sound = await asyncio.to_thread(Path(SOUND).read_bytes)
    speech = spoken(QUIET + sound + QUIET)
    message = {"role": "user", "content": "Hello from the pipeline."}
    told = await run(conversation(), [frames.LLMContextFrame(LLMContext([message]))], has_answer)
    heard = await run(conversation(), [frames.LLMContextFrame(LLMContext([])), *speech], has_answer)
    settings = OpenAIRealtimeSTTService.Settings(model="gpt-4o-transcribe")
    service = OpenAIRealtimeSTTService(api_key=API_KEY, base_url=URL, turn_detection=None, settings=settings)
    written = await run(service, speech, lambda kept: bool(words_of(kept)))
    said = "".join(frame.text for frame in told if isinstance(frame, frames.TTSTextFrame))
    seen = {"said": said, "told_bytes": sound_of(told), "heard_bytes": sound_of(heard), "words": words_of(written)}
    print(json.dumps(seen), flush=True)


logger.remove()
asyncio.run(main())
os._exit(0)
