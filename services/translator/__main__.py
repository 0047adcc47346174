"""Start a translator: `python -m services.translator`."""

from __future__ import annotations

from antiphon.runtime import run
from services.translator.app import build
from services.translator.settings import Settings

run(build(Settings.from_environment()))
