"""What is recognised of a recording so far, and where to go on: all that a successor needs to finish it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Literal, Self

from antiphon.recognition.engine import FRAMES_PER_S, Decoded
from antiphon.schemas import Schema, Segment, TokenLogprob, Word

_HISTORY_TOKENS = 224
"""As many tokens of earlier text as any window is told."""


class Finding(Schema):
    """A segment that is final. Together the texts are the text; the first one does not begin with a space."""

    segment: Segment
    text: str
    words: tuple[Word, ...] = ()
    logprobs: tuple[TokenLogprob, ...] = ()


class Step(Schema):
    """What a window brought; its JSON is one step of the checkpoint.

    All but the findings is short, so the steps of a recording take no more room than its transcript.
    """

    version: Literal[2] = 2
    seek: int
    language: str | None
    history: tuple[int, ...]
    findings: tuple[Finding, ...]


class RecognitionState(Schema):
    """Immutable; `since` and `add` turn it into steps and back.

    Attributes:
        seek: the frame of 10 ms from which on nothing is recognised yet.
        language: the one given, or detected in the first window with text.
        history: tokens of the text that the next window continues.
        findings: in time order.
    """

    seek: int = 0
    language: str | None = None
    history: tuple[int, ...] = ()
    findings: tuple[Finding, ...] = ()

    @property
    def seek_s(self) -> float:
        """Seconds from the start up to which all is recognised."""
        return self.seek / FRAMES_PER_S

    @property
    def text(self) -> str:
        """All text so far."""
        return "".join(finding.text for finding in self.findings)

    def since(self, earlier: Self) -> Step:
        """Return what this state has beyond an earlier one."""
        return Step(
            seek=self.seek,
            language=self.language,
            history=self.history,
            findings=self.findings[len(earlier.findings) :],
        )

    def add(self, step: Step) -> Self:
        """Return the state after a step: `earlier.add(later.since(earlier))` is `later`."""
        return self.model_copy(
            update={
                "seek": step.seek,
                "language": step.language,
                "history": step.history,
                "findings": self.findings + step.findings,
            }
        )

    def skip(self, seek: int) -> Self:
        """Return the state after sound without speech up to `seek`."""
        return self.model_copy(update={"seek": max(seek, self.seek)})

    def follow(self, decoded: Decoded) -> Self:
        """Return the state after a window."""
        said = tuple(self._found(decoded))
        history = () if decoded.forget else self.history
        if not decoded.forget:
            history += tuple(token for finding in said for token in finding.segment.tokens)
        return self.model_copy(
            update={
                "seek": max(decoded.seek, self.seek + 1),
                "language": self.language or (decoded.language if said else None),
                "history": history[-_HISTORY_TOKENS:],
                "findings": self.findings + said,
            }
        )

    def _found(self, decoded: Decoded) -> Iterator[Finding]:
        spoken_s = max((word.end for finding in self.findings[-1:] for word in finding.words), default=0.0)
        for index, piece in enumerate(decoded.pieces, start=len(self.findings)):
            words = tuple(_in_order(piece.words, after_s=spoken_s))
            spoken_s = words[-1].end if words else spoken_s
            yield Finding(
                segment=piece.segment.model_copy(update={"id": index}),
                text=piece.segment.text if index else piece.segment.text.lstrip(),
                words=words,
                logprobs=piece.logprobs if index else tuple(_without_leading_space(piece.logprobs)),
            )


def _in_order(words: Iterable[Word], *, after_s: float) -> Iterator[Word]:
    """Round times to hundredths, and let no word begin before the one before it has ended."""
    for word in words:
        start_s = round(max(word.start, after_s), 2)
        after_s = round(max(word.end, start_s), 2)
        yield Word(word=word.word, start=start_s, end=after_s)


def _without_leading_space(tokens: Iterable[TokenLogprob]) -> Iterator[TokenLogprob]:
    opening = True
    for token in tokens:
        if opening:
            text, data = token.token.lstrip(), bytes(token.bytes).lstrip()
            if not data:
                continue
            yield token.model_copy(update={"token": text, "bytes": tuple(data)})
        else:
            yield token
        opening = False
