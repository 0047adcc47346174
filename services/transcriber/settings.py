"""What a transcriber needs to know."""

from __future__ import annotations

from antiphon.recognition.settings import RecognitionSettings as Settings

__all__ = ["Settings"]
