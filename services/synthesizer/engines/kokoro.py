"""Kokoro-82M over onnxruntime: many voices, English with an American or a British accent."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import onnxruntime as ort
from numpy.typing import NDArray

from antiphon.audio.samples import SPEECH_RATE, Samples
from antiphon.errors import WeightsMissing
from services.synthesizer.engines.pace import Pace
from services.synthesizer.engines.pronunciation import Pronunciation, cut
from services.synthesizer.engines.session import open_session
from services.synthesizer.engines.sound import stretch, trim
from services.synthesizer.engines.synthesizer import Limits

MODEL_FILE = "kokoro-v1.0.int8.onnx"
VOCABULARY_FILE = "vocab.json"
VOICES_FOLDER = "voices"

MOST_PHONEMES = 200
"""Per call. The model takes 510, but needs 0.7 GB meanwhile for 320, and nobody can cut in."""
STYLE_SHAPE = (510, 1, 256)
"""A voice is one style vector for each number of phonemes."""
PAD = 0


class Kokoro:
    """The model and its voices in one folder: one ONNX file, `vocab.json`, `voices/*.bin`.

    A voice's first letter is its language: b for British English; all others are read as American English.
    """

    rate = SPEECH_RATE
    limits = Limits(sizes=(32, 64, 140))

    def __init__(self, folder: Path, *, threads: int, pronunciation: Pronunciation) -> None:
        """Load the model. Raises `WeightsMissing` if a file is not there."""
        model, vocabulary = _model_file(folder), folder / VOCABULARY_FILE
        styles = sorted((folder / VOICES_FOLDER).glob("*.bin"))
        if not styles or not vocabulary.exists():
            raise WeightsMissing(f"The weights of kokoro in {folder} lack {VOCABULARY_FILE} or voices.")
        entries = json.loads(vocabulary.read_text(encoding="utf-8"))
        self._ids: dict[str, int] = entries.get("vocab", entries)
        self._pronunciation = pronunciation
        self._styles = {path.stem: _style(path) for path in styles}
        self._session = open_session(model, threads=threads)
        # Gives the memory of a long piece back after it: half the process, at no cost that can be measured.
        self._run_options = ort.RunOptions()
        self._run_options.add_run_config_entry("memory.enable_memory_arena_shrinkage", "cpu:0")
        # Exports agree on the order of the inputs, not on their names.
        self._tokens, self._style, self._speed = (port.name for port in self._session.get_inputs())

    def voices(self) -> tuple[str, ...]:
        """Return the names of the voice files."""
        return tuple(self._styles)

    def speak(self, text: str, *, voice: str, speed: float) -> Iterator[Samples]:
        """Yield the sound of `text`, one array per call of the model."""
        style = self._styles[voice]
        pace = Pace.of(speed)
        reading = self._pronunciation.phonemes(text, british=voice.startswith("b"))
        for phonemes in cut(reading, most=MOST_PHONEMES):
            sound = trim(self._run(phonemes, style, pace.model), self.rate)
            if len(sound):
                yield stretch(sound, self.rate, speed=pace.stretch)

    def _run(self, phonemes: str, style: NDArray[np.float32], speed: float) -> Samples:
        ids = [self._ids[phoneme] for phoneme in phonemes if phoneme in self._ids]
        if not ids:
            return np.zeros(0, np.float32)
        feed = {
            self._tokens: np.array([[PAD, *ids, PAD]], np.int64),
            self._style: style[min(len(ids), len(style)) - 1],
            self._speed: np.array([speed], np.float32),
        }
        sound: Samples = self._session.run(None, feed, self._run_options)[0].ravel()
        return sound


def _model_file(folder: Path) -> Path:
    """Return the ONNX file of the folder: the usual one, else the only one."""
    files = sorted(folder.glob("*.onnx"))
    usual = [path for path in files if path.name == MODEL_FILE] or files
    if len(usual) != 1:
        raise WeightsMissing(f"The weights of kokoro in {folder}: expected {MODEL_FILE} or a single ONNX file.")
    return usual[0]


def _style(path: Path) -> NDArray[np.float32]:
    if path.stat().st_size != np.prod(STYLE_SHAPE) * 4:
        raise WeightsMissing(f"{path} is not a voice of Kokoro.")
    return np.memmap(path, np.float32, "r", shape=STYLE_SHAPE)
