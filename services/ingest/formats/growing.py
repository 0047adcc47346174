"""Text that was partly sent when the worker that wrote it was lost."""

from __future__ import annotations

from dataclasses import dataclass

from antiphon.errors import Failure
from antiphon.schemas import Delta, TokenLogprob, Transcript


class TranscriptDiverged(Failure):
    """A second attempt heard something else than what had been sent already."""


@dataclass(frozen=True)
class Addition:
    """What is new: text, and the tokens it is made of when they were asked for."""

    text: str
    logprobs: tuple[TokenLogprob, ...] | None


class GrowingText:
    """Turns the deltas of one or more attempts into deltas of one text without outer white space."""

    def __init__(self) -> None:
        self._sent = ""
        self._attempt = ""
        self._tokens: list[TokenLogprob] = []
        self._has_tokens = False

    @property
    def sent(self) -> str:
        """All that `add` and `finish` returned, joined."""
        return self._sent

    def restart(self) -> None:
        """Begin another attempt; what it repeats is not returned again."""
        self._attempt = ""
        self._tokens.clear()

    def add(self, delta: Delta) -> Addition | None:
        """Return what is new, None when nothing is. Raises `TranscriptDiverged`."""
        self._attempt += delta.delta
        if delta.logprobs is not None:
            self._has_tokens = True
            self._tokens.extend(delta.logprobs)
        # White space at the end waits for the text that follows it: the whole text ends without any.
        text = self._attempt.strip()
        if self._sent.startswith(text):
            return None
        if not text.startswith(self._sent):
            raise TranscriptDiverged("A worker was lost and its text could not be continued. Please try again.")
        return self._advance(text)

    def finish(self, transcript: Transcript) -> Addition | None:
        """Return what the result has beyond the deltas."""
        text = transcript.text.strip()
        if text == self._sent or not text.startswith(self._sent):
            return None
        return self._advance(text)

    def _advance(self, text: str) -> Addition:
        new, known_bytes = text[len(self._sent) :], len(self._sent.encode())
        self._sent = text
        if not self._has_tokens:
            return Addition(new, None)
        return Addition(new, self._take_tokens(known_bytes))

    def _take_tokens(self, known_bytes: int) -> tuple[TokenLogprob, ...]:
        # Tokens of a repeated beginning were sent with it; those come first in the attempt.
        lead = len(self._attempt.encode()) - len(self._attempt.lstrip().encode())
        position, fresh = 0, []
        for token in self._tokens:
            position += len(token.bytes)
            if position - lead > known_bytes:
                fresh.append(token)
        return tuple(fresh)
