"""Start a synthesizer: `python -m services.synthesizer`."""

from __future__ import annotations

from antiphon.runtime import run
from antiphon.settings import WorkerSettings
from services.synthesizer.app import build

run(build(WorkerSettings.from_environment()))
