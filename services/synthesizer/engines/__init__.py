"""Engines turn text into sound; they know no jobs and no bus."""

from services.synthesizer.engines.synthesizer import Limits, Synthesizer

__all__ = ["Limits", "Synthesizer"]
