"""Text on its way to being spoken."""

from antiphon.speech.sentences import sentences
from antiphon.speech.speakable import is_speakable
from antiphon.speech.stream import SentenceStream

__all__ = ["SentenceStream", "is_speakable", "sentences"]
