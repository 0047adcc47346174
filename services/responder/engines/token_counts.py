"""How many tokens a conversation has."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable

from services.responder.engines.llama_socket import LlamaSocket
from services.responder.engines.rendering import Line

LINE_TOKENS = 8
"""What a chat template puts around a message, at most."""
_MOST = 4096
_LONGEST = 20_000
"""Bytes of a text that is remembered."""


def most_tokens(lines: Iterable[Line]) -> int:
    """Return a bound that costs nothing: no token has less than a byte."""
    return sum(len(line["content"].encode()) + LINE_TOKENS for line in lines)


class TokenCounts:
    """Counts the tokens of texts, and remembers the latest: each turn brings the texts of those before it."""

    def __init__(self) -> None:
        self._counts: OrderedDict[str, int] = OrderedDict()

    async def count(self, lines: Iterable[Line], socket: LlamaSocket) -> int:
        """Return how many tokens some lines have, what is put around them included. Raises `Gone`."""
        return sum([await self._count(line["content"], socket) + LINE_TOKENS for line in lines])

    async def _count(self, text: str, socket: LlamaSocket) -> int:
        known = self._counts.get(text)
        if known is None:
            answer = await socket.ask("/tokenize", {"content": text})
            known = len(answer["tokens"])
            if len(text) <= _LONGEST:
                self._counts[text] = known
        if text in self._counts:
            self._counts.move_to_end(text)
        while len(self._counts) > _MOST:
            self._counts.popitem(last=False)
        return known
