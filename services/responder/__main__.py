"""Start a responder: `python -m services.responder`."""

from __future__ import annotations

from antiphon.runtime import run
from services.responder.app import build
from services.responder.settings import Settings

run(build(Settings.from_environment()))
