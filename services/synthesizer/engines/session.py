"""How models are loaded."""

from __future__ import annotations

from pathlib import Path

import onnxruntime as ort


def open_session(model: Path, *, threads: int) -> ort.InferenceSession:
    """Load an ONNX file for inputs of ever new lengths, on so many threads of the processor."""
    options = ort.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.log_severity_level = 3
    # Spinning threads would take the processor away from whatever else runs on the machine.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    # A plan of memory is kept for every length of input that was ever seen: the process would grow without end.
    options.enable_mem_pattern = False
    return ort.InferenceSession(str(model), options, providers=["CPUExecutionProvider"])
