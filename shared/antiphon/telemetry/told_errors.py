"""Errors as logs tell them: of which kind and where, never in which words. These may repeat what a caller has said."""

from __future__ import annotations

import traceback
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

_MOST_FRAMES = 40
_MOST_ERRORS = 16


def told_error(error: BaseException) -> str:
    """Return an error, its frames, and what caused it, the latest first. A group's errors follow it."""
    return "\n".join(line for each in _causes(error) for line in _lines(each))


def _lines(error: BaseException) -> Iterator[str]:
    kind = type(error)
    # What the system says of a file or a socket is its own.
    said = f": {error.strerror}" if isinstance(error, OSError) and error.strerror else ""
    yield f"{kind.__module__}.{kind.__qualname__}{said}"
    for frame, line in list(traceback.walk_tb(error.__traceback__))[-_MOST_FRAMES:]:
        yield f"  {frame.f_code.co_filename}:{line} in {frame.f_code.co_name}"


def _causes(error: BaseException) -> list[BaseException]:
    """Return an error and all that led to it, each once."""
    found: list[BaseException] = []
    waiting = [error]
    while waiting and len(found) < _MOST_ERRORS:
        each = waiting.pop(0)
        if any(each is other for other in found):
            continue
        found.append(each)
        if isinstance(each, BaseExceptionGroup):
            waiting += each.exceptions
        cause = each.__cause__ or (None if each.__suppress_context__ else each.__context__)
        if cause is not None:
            waiting.append(cause)
    return found
