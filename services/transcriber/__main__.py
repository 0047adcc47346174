"""Start a transcriber: `python -m services.transcriber`."""

from __future__ import annotations

from antiphon.runtime import run
from services.transcriber.app import build
from services.transcriber.settings import Settings

run(build(Settings.from_environment()))
