"""What the first characters of a line of Markdown say about it."""

from __future__ import annotations

import re
from dataclasses import dataclass

_MARKS = re.compile(r"[-*+•–#>|`~=_0-9.)]{0,8}")  # noqa: RUF001 (people write dashes before items)
_ITEM = re.compile(r"[-*+•–]|\d{1,3}[.)]")  # noqa: RUF001
_HEADING = re.compile(r"#{1,6}")
_RULE = re.compile(r"([-=_*])\1{2,}")
_ENDS_ITSELF = re.compile(r"#{1,6}(?:\s|$)|\||([-=_*])\1{2,} ?(?:\n|$)")
_FENCE = re.compile(r"(`{3,}|~{3,})[ ]?(.*)")

LONGEST_FENCE_LINE = 100
"""Characters that the opening line of a fenced block has at most; in the longer ones the marks are just marks."""


@dataclass(frozen=True, slots=True)
class Start:
    """Whether a line begins a block of its own; `seen` characters of the text tell so."""

    block: bool
    seen: int


@dataclass(frozen=True, slots=True)
class Fence:
    """A fenced block of code: its mark and the language that it names, if any."""

    mark: str
    language: str

    def is_closed_by(self, line: str) -> bool:
        """Tell whether a line ends the block."""
        line = line.strip()
        return len(line) >= len(self.mark) and not line.strip(self.mark[0])


def starts_block(text: str, at: int) -> Start | None:
    """Tell whether the line at `at` is an item, a heading, a row, a quotation, a fence or a rule.

    None if that cannot be known yet.
    """
    marks = _MARKS.match(text, at)
    if marks is None or marks.end() == len(text):
        return None
    end = marks.end()
    run, spaced = marks[0], text[end].isspace()
    block = (
        run.startswith((">", "|", "```", "~~~"))
        or (spaced and bool(_ITEM.fullmatch(run) or _HEADING.fullmatch(run)))
        or (spaced and bool(_RULE.fullmatch(run)))
    )
    return Start(block, end + 1)


def ends_itself(line: str) -> bool:
    """Tell whether a line ends at its newline, whatever follows: a heading, a row of a table, a rule."""
    return bool(_ENDS_ITSELF.match(line))


def opening_fence(line: str) -> Fence | None:
    """Return the fenced block that a line opens, if it does."""
    fence = _FENCE.fullmatch(line.strip())
    if fence is None or len(line) > LONGEST_FENCE_LINE or (fence[1][0] == "`" and "`" in fence[2]):
        return None
    return Fence(fence[1], next(iter(fence[2].split()), ""))
