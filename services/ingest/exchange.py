"""One request and the answer to it, as they pass: when the last byte came in, when the first one went out."""

from __future__ import annotations

import secrets
import time
import uuid
from http import HTTPStatus

from starlette.datastructures import MutableHeaders
from starlette.types import Message, Receive, Scope, Send

from antiphon.telemetry.instruments import FIRST_BYTE_SECONDS, REQUEST_SECONDS
from services.ingest.surface import Surface, surface_of
from services.ingest.tracing import method_of, route_of

_OPENINGS = frozenset({"http.response.start", "websocket.http.response.start", "websocket.accept"})
_ABANDONED = 499


class Exchange:
    """Stands between the server and the application."""

    def __init__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self._scope = scope
        self._receive = receive
        self._send = send
        self._started_s = time.perf_counter()
        self._asked_s = self._started_s
        self._opened_s: float | None = None
        self.surface: Surface = surface_of(scope["path"])
        self.request_id = f"req_{secrets.token_hex(16)}"
        self.status: int | None = None
        self.close_code: int | None = None
        """With which a WebSocket was closed from here."""
        self.abandoned = False

    @property
    def elapsed_ms(self) -> float:
        """Milliseconds since the request came in."""
        return (time.perf_counter() - self._started_s) * 1000

    @property
    def status_told(self) -> int:
        """The status that was sent; 499 when the client did not wait for one."""
        return self.status or _ABANDONED

    async def receive(self) -> Message:
        """Receive, and note when the request is complete."""
        message = await self._receive()
        if message["type"] == "http.request" and not message.get("more_body", False):
            self._asked_s = time.perf_counter()
        return message

    async def send(self, message: Message) -> None:
        """Send on, with the headers that every answer has."""
        if message["type"] in _OPENINGS:
            self._opened_s = time.perf_counter()
            self.status = message.get("status", HTTPStatus.SWITCHING_PROTOCOLS)
            headers = MutableHeaders(raw=message.setdefault("headers", []))
            headers["x-request-id"] = self.request_id
            headers["openai-version"] = "2020-10-01"
            headers["openai-processing-ms"] = str(round(self.elapsed_ms))
            if self.surface != "openai":
                headers["apim-request-id"] = str(uuid.uuid4())
        elif message["type"] == "websocket.close":
            self.close_code = message.get("code", 1000)
        await self._send(message)

    def measure(self) -> None:
        """Tell the instruments. Of a WebSocket only the upgrade is a request: the session may last for hours."""
        ended_s = time.perf_counter()
        route = route_of(self._scope)
        if self._scope["type"] == "websocket":
            ended_s = self._opened_s or ended_s
        elif self._opened_s is not None and self.status_told < HTTPStatus.BAD_REQUEST:
            FIRST_BYTE_SECONDS.labels(route).observe(max(0.0, self._opened_s - self._asked_s))
        status = str(int(self.status_told))
        REQUEST_SECONDS.labels(method_of(self._scope), route, status).observe(ended_s - self._started_s)
