"""The job that does nothing, and the producer's end of the benchmark's pipe. Standard library alone."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Mapping

REDIS_URL = os.environ.get("BENCH_REDIS_URL", "redis://127.0.0.1:6379/0")
SOCKET = REDIS_URL.removeprefix("unix://").partition("?")[0]
RESULT_TTL_S = 86_400

ARGUMENTS = {"audio": {"uri": "data:,"}, "model": "whisper-1"}
RESULT = {"text": "And so, my fellow Americans"}
AT_ONCE = 500
"""Calls that wait for the server together, where a batch is made of single calls."""


def obey(publish: Mapping[str, Callable[[int], None]]) -> None:
    """Read lines `<form> <jobs>`; publish, and answer when the first job and the last one had been handed over."""
    for line in sys.stdin:
        form, jobs = line.split()
        begun = time.monotonic()
        publish[form](int(jobs))
        print(begun, time.monotonic(), flush=True)
