"""A receiver of webhooks on the loopback: it keeps what comes and answers what the test wants."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


@dataclass(frozen=True)
class Received:
    """One request that came in."""

    headers: dict[str, str]
    body: bytes

    @property
    def event_id(self) -> str:
        """The id of the event, the same in every attempt."""
        return self.headers["webhook-id"]

    @property
    def event(self) -> dict[str, Any]:
        """What the body says."""
        event: dict[str, Any] = json.loads(self.body)
        return event


@dataclass
class Receiver:
    """What has come in so far, and the status that is answered."""

    url: str = ""
    status: int = 200
    requests: list[Received] = field(default_factory=list)

    def wait(self, count: int = 1, *, within_s: float = 60.0) -> list[Received]:
        """Return what has come in when it is at least `count`; fail when that takes too long."""
        deadline = time.monotonic() + within_s
        while len(self.requests) < count:
            assert time.monotonic() < deadline, f"{len(self.requests)} of {count} requests within {within_s:.0f} s"
            time.sleep(0.02)
        return list(self.requests)


@contextmanager
def receiving() -> Iterator[Receiver]:
    """Receive webhooks on a free port."""
    receiver = Receiver()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            receiver.requests.append(Received({name.lower(): value for name, value in self.headers.items()}, body))
            self.send_response(receiver.status)
            self.send_header("content-length", "0")
            self.end_headers()

        def log_message(self, format: str, *args: object) -> None:
            """Say nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        receiver.url = f"http://127.0.0.1:{server.server_port}/hook"
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield receiver
        finally:
            server.shutdown()
            thread.join()
