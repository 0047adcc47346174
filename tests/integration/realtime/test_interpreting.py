"""Interpreting with the real voice detector and the real recogniser: recordings in, translations out."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from pathlib import Path

import numpy as np
import pytest
import pytest_asyncio
from faster_whisper.audio import decode_audio

from antiphon.audio.samples import Samples
from antiphon.audio.speech_gate import FRAME_SAMPLES
from antiphon.audio.vad import VoiceDetector, VoiceModel, voice_probabilities
from antiphon.blobs import Blobs, open_blobs
from antiphon.cli.wer import word_error_rate
from antiphon.models import WeightStore
from antiphon.recognition.recognition import Recognition, open_recognition
from antiphon.recognition.settings import RecognitionSettings
from antiphon.schemas import TranscribeJob, TranslateJob
from antiphon.settings import BlobSettings, default_cache_dir
from services.realtime.interpreting.cutting import LONGEST_MS, Cutter
from services.realtime.session.commands import Say, Transcribe
from services.realtime.session.happenings import Appended
from tests.integration.recognition.clips import wav_of
from tests.integration.recognition.conftest import Desk
from tests.unit.realtime.interpretation_talk import Talk
from tests.values import Values

pytestmark = pytest.mark.integration

CHUNK = 640
"""40 ms."""
STORE = WeightStore(default_cache_dir())
PAUSE = np.zeros(12_800, np.float32)


@pytest.fixture(scope="module")
def voice_model() -> VoiceModel:
    return VoiceModel(STORE.folder("silero-vad"))


class Room:
    """Plays a recording to a session, and has the recogniser do what the session orders."""

    def __init__(self, talk: Talk, model: VoiceModel, blobs: Blobs, recognisers: dict[bool, Recognition]) -> None:
        self.talk = talk
        self._detector = VoiceDetector(model)
        self._blobs = blobs
        self._recognisers = recognisers
        self._input = np.zeros(0, np.float32)

    async def play(self, samples: Samples) -> None:
        for start in range(0, len(samples), CHUNK):
            self._append(samples[start : start + CHUNK])
            await self.work()

    async def work(self) -> None:
        while orders := self.talk.orders(Transcribe):
            order: Transcribe = orders[-1]
            assert order.start >= self.talk.machine.audio_from
            audio = await self._blobs.put(wav_of(self._input[order.start : order.stop]))
            kind = TranslateJob if order.translate else TranscribeJob
            job = kind(audio=audio, model=order.model, options=order.options)
            transcript = await self._recognisers[order.translate].transcript(job, Desk(job))
            self.talk.recognise(order, transcript.text, transcript.language)
        for say in self.talk.orders(Say):
            self.talk.finish(say)

    def _append(self, chunk: Samples) -> None:
        judged = len(self._input) // FRAME_SAMPLES
        self._input = np.concatenate([self._input, chunk])
        frames = range(judged, len(self._input) // FRAME_SAMPLES)
        voice = [self._detector.step(self._input[at * FRAME_SAMPLES : (at + 1) * FRAME_SAMPLES]) for at in frames]
        self.talk.step(Appended(len(chunk), tuple(voice)))


@pytest_asyncio.fixture
async def room(voice_model: VoiceModel, tmp_path: Path) -> AsyncIterator[Room]:
    stores = BlobSettings(blob_url=tmp_path.as_uri(), blob_inline_bytes=0)
    settings = RecognitionSettings()
    async with (
        open_blobs(stores, Values()) as blobs,
        open_recognition(settings, blobs, task="transcribe") as transcriber,
        open_recognition(settings, blobs, task="translate") as translator,
    ):
        yield Room(Talk(), voice_model, blobs, {False: transcriber, True: translator})


def clips(*names: str) -> Samples:
    """Return recordings one after the other, a pause behind each."""
    folder = STORE.folder("speech-samples")
    samples = [part for name in names for part in (decode_audio(str(folder / f"{name}.wav")), PAUSE)]
    return np.concatenate(samples)


def said(events: Sequence[dict[str, str]]) -> list[str]:
    return [event["delta"].strip() for event in events]


async def test_speakers_of_several_languages_are_heard_in_english_one_after_the_other(room: Room) -> None:
    room.talk.update(transcription={"model": "whisper-1"})
    await room.play(clips("ja/konnichiwa_sekai", "en/counting"))
    room.talk.send("session.close")
    await room.work()
    hello, count = said(room.talk.told("session.output_transcript.delta"))
    assert word_error_rate("Hello world.", hello) <= 0.5, hello
    assert word_error_rate("One two three four five six seven eight nine ten.", count) <= 0.2, count
    _, heard = said(room.talk.told("session.input_transcript.delta"))
    assert word_error_rate(heard, count) == 0, "English stays as it was said"
    assert room.talk.events[-1]["type"] == "session.closed"


def test_a_reading_is_cut_into_bounded_utterances_where_the_voice_is_low(voice_model: VoiceModel) -> None:
    samples = decode_audio(str(STORE.folder("speech-readings") / "two_cities.wav"))[: 45 * 16_000]
    voice = voice_probabilities(voice_model, samples)
    spans = Cutter().push(voice, len(voice) * FRAME_SAMPLES)
    assert len(spans) >= 4
    for span in spans:
        assert span.stop - span.start <= (LONGEST_MS + 500) * 16
        assert min(voice[span.stop // FRAME_SAMPLES - 4 : span.stop // FRAME_SAMPLES + 4]) < 0.5
