"""Reads an answer that has a form, while it is being written."""

from __future__ import annotations

import secrets
import string
from enum import Enum, auto

from services.responder.engines.answer_form import AnswerForm
from services.responder.engines.json_text import StringReader, ValueReader
from services.responder.engines.language_model import CallPiece, TextPiece

_ALPHABET = string.ascii_letters + string.digits


class FormBroken(Exception):
    """The model wrote what its grammar does not allow."""


class _Place(Enum):
    HEAD = auto()
    ANSWER = auto()
    ARGUMENTS = auto()
    TAIL = auto()


class FormReader:
    """Takes the text of an answer piece by piece, and gives what it says and which functions it calls.

    Whatever is given has been checked against the grammar: the process that holds the model goes on without one
    if it fails it in the middle.
    """

    def __init__(self, form: AnswerForm) -> None:
        self._form = form
        self._matcher = form.matcher.copy() if form.matcher is not None else None
        self._place = _Place.HEAD if form.heads else _Place.ANSWER
        self._head = ""
        self._value: StringReader | ValueReader = ValueReader()
        self.calls = 0

    def feed(self, text: str) -> list[TextPiece | CallPiece]:
        """Return what `text` adds. Raises `FormBroken`."""
        self._check(text)
        if not self._form.heads:
            return [TextPiece(text)] if text else []
        pieces: list[TextPiece | CallPiece] = []
        while text:
            text = self._step(text, pieces)
        return pieces

    def finish(self) -> None:
        """Raise `FormBroken` if the model may not end here."""
        if self._matcher is not None and not self._matcher.may_end:
            raise FormBroken("the answer ends too early")

    def _check(self, text: str) -> None:
        if self._matcher is not None and not self._matcher.follow(text):
            raise FormBroken("the answer leaves its form")

    def _step(self, text: str, pieces: list[TextPiece | CallPiece]) -> str:
        """Take some of `text`, and return the rest."""
        if self._place is _Place.HEAD:
            return self._read_head(text, pieces)
        if self._place is _Place.TAIL:  # the brace, and what parts it from the next object
            self._place = _Place.HEAD
            return text.removeprefix("}")
        more, rest = self._value.feed(text)
        if more and self._place is _Place.ANSWER:
            pieces.append(TextPiece(more))
        elif more:
            pieces.append(CallPiece(self.calls - 1, more))
        if self._value.done:
            self._place = _Place.TAIL
        return rest

    def _read_head(self, text: str, pieces: list[TextPiece | CallPiece]) -> str:
        self._head = (self._head + text).lstrip("\n")
        for head, name in self._form.heads:
            opening = head + '"' if name is None and self._form.text else head
            if not self._head.startswith(opening):
                continue
            rest, self._head = self._head[len(opening) :], ""
            if name is None:
                self._place = _Place.ANSWER
                self._value = StringReader() if self._form.text else ValueReader()
            else:
                self._place, self._value = _Place.ARGUMENTS, ValueReader()
                pieces.append(CallPiece(self.calls, id=_new_call_id(), name=name))
                self.calls += 1
            return rest
        return ""


def _new_call_id() -> str:
    return "call_" + "".join(secrets.choice(_ALPHABET) for _ in range(24))
