"""A client of the door that costs little: blocking connections, and lines as they come."""

from __future__ import annotations

import http.client
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import orjson

from tests.bench.chat_asking import Stopwatch, completion_body

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from tests.bench.chat_asking import Message, Written
    from tests.bench.platform import Door

_TIMEOUT_S = 300.0
_EVENT = b"data: "
_DONE = b"[DONE]"


@dataclass(frozen=True)
class ChatDoor:
    """Asks a model through the platform. All calls block."""

    door: Door
    model: str

    def ask(self, messages: Sequence[Message], max_tokens: int) -> Written:
        """Return the answer to one question, in text."""
        body = completion_body(messages, max_tokens=max_tokens)
        with self.connect() as line:
            watch = Stopwatch()
            for chunk in line.stream(body):
                watch.take(chunk)
            return watch.stop()

    @contextmanager
    def connect(self) -> Iterator[ChatLine]:
        """Give an open connection: who asks often has one."""
        url = urlsplit(self.door.base_url)
        connection = http.client.HTTPConnection(url.hostname or "", url.port, timeout=_TIMEOUT_S)
        connection.connect()
        try:
            yield ChatLine(self, connection)
        finally:
            connection.close()


@dataclass(frozen=True)
class ChatLine:
    """A connection, for one completion after the other."""

    to: ChatDoor
    _connection: http.client.HTTPConnection

    def stream(self, body: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
        """Yield the chunks of a streamed completion as they come. Raises `RuntimeError` with a refusal."""
        headers = {"authorization": f"Bearer {self.to.door.api_key}", "content-type": "application/json"}
        data = orjson.dumps({"model": self.to.model, **body})
        self._connection.request("POST", "/v1/chat/completions", data, headers)
        with self._connection.getresponse() as reply:
            if reply.status != http.client.OK:
                raise RuntimeError(f"{reply.status}: {reply.read().decode()}")
            # Its lines are the events: one blank line between two of them, and comments in pauses.
            for line in reply:
                if line.startswith(_EVENT) and not line.startswith(_DONE, len(_EVENT)):
                    chunk = orjson.loads(line[len(_EVENT) :])
                    if "error" in chunk:
                        raise RuntimeError(f"broken off: {chunk['error']}")
                    yield chunk
