"""The sentences of a text that is still being written."""

from __future__ import annotations

import re

from antiphon.speech.boundaries import Cut, Place, find_end
from antiphon.speech.lines import LONGEST_FENCE_LINE, Fence, ends_itself, opening_fence
from antiphon.speech.marks import STOP, open_quotations
from antiphon.speech.speakable import is_speakable

LONGEST_FIRST = 120
"""Characters of the first sentence after which it is cut at a clause: somebody is waiting for the first sound."""
LONGEST = 240
"""The same for all others."""

_SPACE = re.compile(r"\s+")
_BLOCK = 256
"""Characters that are looked at together; what is kept is never much more than that and one piece."""
_FENCES = ("```", "~~~")


class SentenceStream:
    """Cuts text into sentences while it comes in, each as soon as what follows shows that it is complete.

    However the text is divided, its sentences are the same. They hold every word in order, as it was written, Markdown
    included; only a fenced block of code is without its lines: it is one sentence, its two fences. An item of a list, a
    heading and a row of a table are sentences too, and a long sentence is several, cut where a clause ends if there is
    one. What is kept of the text is bounded. Some sentences have nothing to say: ask `is_speakable`.

    `language` is an ISO-639-1 code; its abbreviations do not end a sentence. English if unknown.
    """

    def __init__(self, *, language: str | None = None) -> None:
        self._language = (language or "en").split("-")[0].lower()
        self._start()

    def _start(self) -> None:
        self._text = ""
        self._resume = 0
        self._begun = False  # something to say has been returned
        self._line_start = True
        self._block = False  # the line that the text begins in is a heading or a row
        self._quoted = 0  # quotations that are open
        self._fence: Fence | None = None

    def feed(self, text: str) -> list[str]:
        """Take more of the text; return the sentences that are complete now."""
        found: list[str] = []
        for start in range(0, len(text), _BLOCK):
            if self._take(text[start : start + _BLOCK]):
                continue
            while (sentence := self._next()) is not None:
                if sentence:
                    found.append(sentence)
                    self._begun = self._begun or is_speakable(sentence)
        return found

    def finish(self) -> list[str]:
        """Return the sentences that are left. The next text may follow."""
        found = self.feed("\n\n")
        self._start()
        return found

    def _take(self, text: str) -> bool:
        """Append, with white space as `find_end` wants it; return whether it is clear that no sentence ends there."""
        quiet = self._fence is None and self._resume == len(self._text) and not STOP.search(text)
        if text.isalnum():
            self._text += text
        else:
            kept = self._text.rstrip()
            tail = self._text[len(kept) :]
            self._resume = min(self._resume, len(kept))
            self._text = kept + _SPACE.sub(_as_one, tail + text)
        if quiet := quiet and len(self._text) <= LONGEST_FIRST:
            self._resume = len(self._text)
        return quiet

    def _next(self) -> str | None:
        """Return the next sentence, empty if there is only progress, None if more text is needed."""
        if self._fence is not None:
            return self._skip_code(self._fence)
        self._skip_space()
        if self._line_start and self._text.startswith(_FENCES):
            line, newline, rest = self._text.partition("\n")
            if not newline and len(line) <= LONGEST_FENCE_LINE:
                return None
            if newline and (fence := opening_fence(line)) is not None:
                self._fence, self._text, self._resume = fence, rest, 0
                return f"{fence.mark}{fence.language}\n{fence.mark}"
        if not self._text:
            return None
        found = find_end(
            self._text,
            Place(
                block=self._block or (self._line_start and ends_itself(self._text)),
                listed=self._line_start,
                quoted=self._quoted,
            ),
            resume=self._resume,
            longest=LONGEST if self._begun else LONGEST_FIRST,
            language=self._language,
        )
        if not isinstance(found, Cut):
            self._resume = found.resume
            return None
        return self._cut(found.end)

    def _cut(self, end: int) -> str:
        sentence, self._text, self._resume = self._text[:end], self._text[end:], 0
        self._block = self._block or (self._line_start and ends_itself(sentence))
        self._quoted = open_quotations(sentence, self._quoted)
        self._line_start = False
        return " ".join(sentence.split())

    def _skip_space(self) -> None:
        text = self._text.lstrip()
        if len(text) < len(self._text):
            if "\n" in self._text[: len(self._text) - len(text)]:
                self._line_start, self._block, self._quoted = True, False, 0
            self._text, self._resume = text, 0

    def _skip_code(self, fence: Fence) -> str | None:
        line, newline, rest = self._text.partition("\n")
        if not newline:
            if len(line) > LONGEST_FENCE_LINE:
                self._text = "…"  # whatever it is, it will not close the block
            return None
        self._text = rest
        if fence.is_closed_by(line):
            self._fence, self._line_start, self._block = None, True, False
        return ""


def _as_one(space: re.Match[str]) -> str:
    return "\n" * min(2, space[0].count("\n")) or " "
