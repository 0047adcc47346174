"""Hear whether somebody speaks: the Silero model, one step for each 32 ms.

The model remembers what it heard, so it runs over every frame once and in order. Cutting a recording into parts to run
them side by side is twice as fast and not the same: frames near the threshold flip.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import onnxruntime
from numpy.typing import NDArray

from antiphon.audio.samples import RECOGNITION_RATE, Samples
from antiphon.audio.speech_gate import FRAME_SAMPLES, GateOptions, Span, find_spans
from antiphon.errors import WeightsMissing

WEIGHTS_FILE = "silero_vad.onnx"

_CONTEXT_SAMPLES = 64


class VoiceModel:
    """The weights, loaded once. Shared by any number of detectors, on any threads."""

    def __init__(self, folder: Path) -> None:
        """Load from the folder of the `silero-vad` weights. Raises `WeightsMissing`."""
        path = folder / WEIGHTS_FILE
        if not path.is_file():
            raise WeightsMissing(f"The voice detector's weights are not in {folder}.")
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        options.inter_op_num_threads = 1
        options.log_severity_level = 3
        self._session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
        self._rate = np.array(RECOGNITION_RATE, dtype=np.int64)

    def step(self, window: Samples, state: NDArray[np.float32]) -> tuple[float, NDArray[np.float32]]:
        """Return the probability of voice in `window`, shape (576,), and the state to give to the next step."""
        probabilities, state = self.steps(window[np.newaxis], state)
        return float(probabilities[0]), state

    def steps(self, windows: Samples, states: NDArray[np.float32]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Return the probability of voice in each of n `windows`, shape (n, 576), and the states after this step.

        States have the shape (2, n, 128). A step of twenty costs as much as four alone.
        """
        probabilities, states = self._session.run(None, {"input": windows, "state": states, "sr": self._rate})
        return probabilities[:, 0], states


class VoiceDetector:
    """Listens to one stream of 16 kHz sound. Not for two threads at once."""

    def __init__(self, model: VoiceModel) -> None:
        self._model = model
        self._state = np.zeros((2, 1, 128), dtype=np.float32)
        self._window = np.zeros(_CONTEXT_SAMPLES + FRAME_SAMPLES, dtype=np.float32)

    def step(self, frame: Samples) -> float:
        """Return the probability, 0 to 1, that there is voice in `frame`, shape (512,), the next 32 ms."""
        self._shift(frame)
        probability, self._state = self._model.step(self._window, self._state)
        return probability

    def _shift(self, frame: Samples) -> None:
        self._window[:_CONTEXT_SAMPLES] = self._window[FRAME_SAMPLES:]
        self._window[_CONTEXT_SAMPLES:] = frame


def step_together(model: VoiceModel, detectors: Sequence[VoiceDetector], frames: Sequence[Samples]) -> list[float]:
    """Let each detector take its next frame, all in one step of the model; return what each would have said alone.

    The detectors are different ones, at least one, and of this model.
    """
    if len(detectors) == 1:
        return [detectors[0].step(frames[0])]
    for detector, frame in zip(detectors, frames, strict=True):
        detector._shift(frame)
    windows = np.stack([detector._window for detector in detectors])
    probabilities, states = model.steps(windows, np.concatenate([detector._state for detector in detectors], axis=1))
    for at, detector in enumerate(detectors):
        detector._state = states[:, at : at + 1]
    return [float(probability) for probability in probabilities]


def voice_probabilities(model: VoiceModel, samples: Samples) -> list[float]:
    """Return the probability of voice for each frame of `samples`, shape (n,), 16 kHz.

    The last frame is filled up with silence. Blocking, about 8 ms of CPU for a second of sound.
    """
    detector = VoiceDetector(model)
    whole = len(samples) // FRAME_SAMPLES * FRAME_SAMPLES
    probabilities = [detector.step(samples[at : at + FRAME_SAMPLES]) for at in range(0, whole, FRAME_SAMPLES)]
    if whole < len(samples):
        rest = samples[whole:]
        probabilities.append(detector.step(np.pad(rest, (0, FRAME_SAMPLES - len(rest)))))
    return probabilities


def speech_spans(model: VoiceModel, samples: Samples, options: GateOptions) -> list[Span]:
    """Return where in `samples`, shape (n,), 16 kHz, somebody speaks. Blocking."""
    return find_spans(voice_probabilities(model, samples), len(samples), options)
