"""Reading JSON while it is being written."""

from __future__ import annotations

from enum import Enum, auto

_ESCAPES = {'"': '"', "\\": "\\", "/": "/", "b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t"}
_REPLACEMENT = "\ufffd"


class StringReader:
    """Decodes a JSON string piece by piece, from after its opening quote; `done` once the closing one was read.

    A half of a surrogate pair that stays alone becomes U+FFFD: no text that can be sent holds one.
    """

    def __init__(self) -> None:
        self.done = False
        self._escape = ""
        self._high = 0

    def feed(self, text: str) -> tuple[str, str]:
        """Return what `text` adds to the value, and what of it comes after the closing quote. Raises ValueError."""
        out: list[str] = []
        position = 0
        while position < len(text) and not self.done:
            if self._escape:
                self._escape += text[position]
                position += 1
                self._end_escape(out)
                continue
            stop = _next_mark(text, position)
            if stop > position:
                self._drop_half(out)
                out.append(text[position:stop])
            if stop < len(text):
                if text[stop] == "\\":
                    self._escape = "\\"
                else:
                    self._drop_half(out)
                    self.done = True
                stop += 1
            position = stop
        return "".join(out), text[position:]

    def _end_escape(self, out: list[str]) -> None:
        escape = self._escape
        if len(escape) == 2 and escape[1] != "u":
            if escape[1] not in _ESCAPES:
                raise ValueError(f"{escape!r} is no escape of JSON")
            self._drop_half(out)
            out.append(_ESCAPES[escape[1]])
            self._escape = ""
        elif len(escape) == 6:
            self._escape = ""
            self._take_unit(int(escape[2:], 16), out)

    def _take_unit(self, unit: int, out: list[str]) -> None:
        if 0xDC00 <= unit <= 0xDFFF and self._high:
            out.append(chr(0x10000 + ((self._high - 0xD800) << 10) + unit - 0xDC00))
            self._high = 0
            return
        self._drop_half(out)
        if 0xD800 <= unit <= 0xDBFF:
            self._high = unit
        else:
            out.append(_REPLACEMENT if 0xDC00 <= unit <= 0xDFFF else chr(unit))

    def _drop_half(self, out: list[str]) -> None:
        if self._high:
            self._high = 0
            out.append(_REPLACEMENT)


class _Place(Enum):
    START = auto()
    SCALAR = auto()
    STRING = auto()
    ESCAPE = auto()
    INSIDE = auto()


class ValueReader:
    """Finds where a JSON value ends that stands inside an object, piece by piece; `done` once it was found."""

    def __init__(self) -> None:
        self.done = False
        self._place = _Place.START
        self._depth = 0

    def feed(self, text: str) -> tuple[str, str]:
        """Return what of `text` belongs to the value, and what comes after it."""
        position = 0
        while position < len(text) and not self.done:
            position += self._step(text[position])
        return text[:position], text[position:]

    def _step(self, char: str) -> int:
        """Take one character. Returns 0 if it is not part of the value any more."""
        if self._place is _Place.ESCAPE:
            self._place = _Place.STRING
        elif self._place is _Place.STRING:
            if char == "\\":
                self._place = _Place.ESCAPE
            elif char == '"':
                self._close()
        elif char == '"':
            self._place = _Place.STRING
        elif char in "{[":
            self._depth += 1
            self._place = _Place.INSIDE
        elif self._place is _Place.INSIDE:
            if char in "}]":
                self._depth -= 1
                self._close()
        elif char in ",}] \n" and self._place is _Place.SCALAR:
            self.done = True
            return 0
        else:
            self._place = _Place.SCALAR
        return 1

    def _close(self) -> None:
        self._place = _Place.INSIDE
        self.done = self._depth == 0


def _next_mark(text: str, start: int) -> int:
    """Return where the next quote or backslash is, or the end of `text`."""
    marks = [found for mark in '"\\' if (found := text.find(mark, start)) >= 0]
    return min(marks, default=len(text))
