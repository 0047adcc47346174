"""Start a realtime worker: `python -m services.realtime`."""

from __future__ import annotations

import os

# Before numpy is loaded. What is multiplied here is small, and threads that spin for it cost more than it takes.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

from antiphon.runtime import run
from services.realtime.app import build
from services.realtime.settings import RealtimeSettings

run(build(RealtimeSettings.from_environment()))
