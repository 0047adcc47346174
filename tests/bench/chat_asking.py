"""Questions to a language model, whoever it is asked through, and conversations of several turns."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

Message = dict[str, Any]
"""A message as the API has it."""

SYSTEM = "You are a helpful voice assistant. You answer in plain sentences, without lists and without Markdown."

TALK: tuple[Message, ...] = (
    {"role": "system", "content": SYSTEM},
    {"role": "user", "content": "I would like to hear something about lighthouses. Where do you begin?"},
    {
        "role": "assistant",
        "content": "With fire. The first lighthouses were open fires on hills, kept by people who knew the coast. "
        "Later the fires moved to towers, so that they could be seen from further away, and were put behind glass, "
        "so that the wind could not blow them out. The keeper carried oil up the stairs every evening.",
    },
    {"role": "user", "content": "And how did the sailors know which of them they saw?"},
    {
        "role": "assistant",
        "content": "By the rhythm. A lamp turns behind a lens, and every tower has a rhythm of its own: one flash, a "
        "pause, two flashes, a longer pause. It is written on the chart. Who counts the seconds knows the place.",
    },
    {
        "role": "user",
        "content": "Write down the numbers from 1 to 150, all of them, separated by commas.",
    },
)
"""A conversation whose next answer does not come to an end soon, whichever model writes it."""


@dataclass(frozen=True)
class Written:
    """An answer: its pieces of text, each with the seconds since the question, and what it cost in tokens."""

    pieces: tuple[tuple[float, str], ...]
    total_s: float
    prompt_tokens: int
    tokens: int
    cached_tokens: int

    @property
    def text(self) -> str:
        """All of it."""
        return "".join(text for _, text in self.pieces)

    @property
    def first_s(self) -> float:
        """Seconds until the first text."""
        return self.pieces[0][0]

    @property
    def speed(self) -> float:
        """Tokens a second, from the question to the end of the answer."""
        return self.tokens / self.total_s


@dataclass
class Stopwatch:
    """Collects an answer while it comes in. It runs from when it is made."""

    _start_s: float = field(default_factory=time.perf_counter)
    _pieces: list[tuple[float, str]] = field(default_factory=list)
    _usage: dict[str, Any] = field(default_factory=dict)

    def take(self, chunk: dict[str, Any]) -> None:
        """Take a chunk of a streamed completion."""
        self._usage = chunk.get("usage") or self._usage
        for choice in chunk["choices"]:
            if text := choice["delta"].get("content"):
                self.write(text)

    def write(self, text: str) -> None:
        """Take more of the text."""
        self._pieces.append((self.elapsed_s(), text))

    def elapsed_s(self) -> float:
        """Seconds so far."""
        return time.perf_counter() - self._start_s

    def stop(self) -> Written:
        """Return the whole; the chunk with the usage must have been among the others."""
        return Written(
            pieces=tuple(self._pieces),
            total_s=self.elapsed_s(),
            prompt_tokens=self._usage["prompt_tokens"],
            tokens=self._usage["completion_tokens"],
            cached_tokens=(self._usage.get("prompt_tokens_details") or {}).get("cached_tokens", 0),
        )


def completion_body(messages: Sequence[Message], *, max_tokens: int) -> dict[str, Any]:
    """Return the request for a streamed answer that is the same every time."""
    return {
        "messages": list(messages),
        "stream": True,
        "stream_options": {"include_usage": True},
        "temperature": 0,
        "max_tokens": max_tokens,
    }


def hold_all(
    ask: Callable[[Sequence[Message], int], Written], talks: Sequence[Sequence[str]], *, max_tokens: int
) -> list[list[Written]]:
    """Hold conversations at the same time, each question following the answer to the one before it. Blocking."""

    def hold(questions: Sequence[str]) -> list[Written]:
        messages: list[Message] = [{"role": "system", "content": SYSTEM}]
        answers: list[Written] = []
        for question in questions:
            messages.append({"role": "user", "content": question})
            answers.append(ask(messages, max_tokens))
            messages.append({"role": "assistant", "content": answers[-1].text})
        return answers

    with ThreadPoolExecutor(len(talks)) as threads:
        return list(threads.map(hold, talks))
