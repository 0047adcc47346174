"""Hear whether a speaker is through: the Smart Turn model."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnxruntime

from antiphon.audio.samples import Samples
from antiphon.errors import WeightsMissing
from services.realtime.ears.log_mel import log_mel

WEIGHTS_FILE = "smart-turn-v3.2-cpu.onnx"

_THREADS = 2
"""A turn is judged while its speaker waits: a third sooner for a seventh more work."""


class TurnModel:
    """The weights, loaded once. Shared by all threads."""

    def __init__(self, folder: Path) -> None:
        """Load from the folder of the `smart-turn` weights. Raises `WeightsMissing`."""
        path = folder / WEIGHTS_FILE
        if not path.is_file():
            raise WeightsMissing(f"The turn model's weights are not in {folder}.")
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = _THREADS
        options.inter_op_num_threads = 1
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        options.log_severity_level = 3
        self._session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])

    def judge(self, samples: Samples) -> float:
        """Return how likely the speaker is through, 0 to 1, at the end of `samples`, shape (n,), 16 kHz.

        Only the last 8 s count. Blocking.
        """
        (probability,) = self._session.run(None, {"input_features": log_mel(samples)[np.newaxis]})
        return float(np.ravel(probability)[0])
