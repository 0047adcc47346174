"""Text on its way to being spoken."""

from antiphon.speech.sentences import sentences

__all__ = ["sentences"]
