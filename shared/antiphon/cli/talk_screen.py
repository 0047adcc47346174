"""What a conversation looks like in a terminal."""

from __future__ import annotations

import sys

from antiphon.cli.talk_exchange import Answered, Complained, Heard, Interrupted, Notice, Said, Waits

_MARGIN = 8


class Screen:
    """Prints the words of both sides as they come, on stdout, and what is wrong on stderr."""

    def __init__(self) -> None:
        self.has_failed = False
        self._is_answering = False

    def show(self, notice: Notice) -> None:
        """Print what there is to see."""
        if isinstance(notice, Heard):
            self._line("you", notice.text or "(not understood)")
        elif isinstance(notice, Said):
            if not self._is_answering:
                self._print("answer".ljust(_MARGIN))
                self._is_answering = True
            self._print(notice.text.replace("\n", "\n" + " " * _MARGIN))
        elif isinstance(notice, Answered):
            self._answered(notice)
        elif isinstance(notice, Complained):
            self._complain(notice.message)
        elif isinstance(notice, Interrupted):
            pass  # the answer that it ends says so

    def close(self) -> None:
        """End the line that is being written."""
        if self._is_answering:
            self._is_answering = False
            self._print("\n")

    def _answered(self, answered: Answered) -> None:
        if answered.was_interrupted and self._is_answering:
            self._print(" …")
        self.close()
        if answered.problem is not None:
            self._complain(f"no whole answer came: {answered.problem}")
        if answered.waits is not None:
            self._line("", describe(answered.waits))

    def _line(self, who: str, text: str) -> None:
        self.close()
        self._print(f"{who.ljust(_MARGIN)}{text}\n")

    def _complain(self, message: str) -> None:
        self.has_failed = True
        self.close()
        print(f"antiphon: {' '.join(message.split())}", file=sys.stderr, flush=True)

    @staticmethod
    def _print(text: str) -> None:
        print(text, end="", flush=True)


def describe(waits: Waits) -> str:
    """Return in one line when each thing came, in seconds after the end of what was said."""
    moments = (
        ("end noticed", waits.noticed_s),
        ("first word", waits.first_word_s),
        ("first sound", waits.first_sound_s),
        ("whole", waits.whole_s),
    )
    return ", ".join(f"{name} after {after_s:.2f} s" for name, after_s in moments if after_s is not None)
