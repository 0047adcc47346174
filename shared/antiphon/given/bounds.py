"""What text and what objects are taken at all, whatever they say."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import orjson

LARGEST_JSON = 256 * 1024
"""Most bytes of an object that may say anything, such as the schema of a function's parameters."""
DEEPEST = 100
"""Most levels of such an object."""


def is_unicode(text: str) -> bool:
    """Tell whether `text` can be written as UTF-8."""
    if text.isascii():
        return True
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def is_shallow(value: Any) -> bool:
    """Tell whether `value` has at most `DEEPEST` levels."""
    level: list[Any] = [value]
    for _ in range(DEEPEST):
        level = [inner for outer in level for inner in _inside(outer)]
        if not level:
            return True
    return False


def is_writable(value: Any) -> bool:
    """Tell whether `value` can be written as JSON again."""
    return written(value) is not None


def written(value: Any) -> bytes | None:
    """Return `value` as JSON, None when it cannot be written: it is deeper than the writer goes, or no Unicode."""
    try:
        return orjson.dumps(value)
    except TypeError:
        return None


def _inside(value: Any) -> Iterator[Any]:
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return (each for each in inner if isinstance(each, dict | list))
