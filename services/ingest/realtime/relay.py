"""Carry what is said between a socket and the bus, until one of the two has ended the conversation."""

from __future__ import annotations

import asyncio
import logging
import secrets
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

import orjson
from starlette.websockets import WebSocketDisconnect

from antiphon.errors import AntiphonError, DeadlineExceeded, Failure, Unavailable
from services.ingest.errors import told

if TYPE_CHECKING:
    from starlette.websockets import WebSocket

    from antiphon.bus import SessionOutput
    from antiphon.schemas import ErrorInfo
    from services.ingest.leaving import Leaving
    from services.ingest.realtime.dialects import Interpreter
    from services.ingest.realtime.frames import FrameReader
    from services.ingest.realtime.live import LiveSession
    from services.ingest.realtime.settings import RealtimeSettings

_LOG = logging.getLogger("antiphon.ingest.realtime")
_GOODBYE_S = 5.0
_LAST_WORDS_S = 2.0
"""How long after its job a session's last output may still come."""
_MAX_REASON_BYTES = 123
"""Of a close frame."""

_RESTARTING = (1012, "The server is restarting. Please connect again.")
_BUS_AWAY = (1011, "The server lost the session.")
_NOT_STARTED = (1013, "No worker has taken the session.")
_WORKER_GONE = (1011, "The server had an error while processing the session.")


@dataclass(frozen=True)
class Ending:
    """How a conversation ends. Without a `code` nobody is left who could be told."""

    why: str
    code: int | None = None
    reason: str = ""
    error: AntiphonError | None = None
    """Told in an event before the socket closes."""


class Relay:
    """One socket and one session."""

    def __init__(
        self,
        websocket: WebSocket,
        session: LiveSession,
        *,
        reader: FrameReader,
        interpreter: Interpreter,
        settings: RealtimeSettings,
        leaving: Leaving,
    ) -> None:
        self._websocket = websocket
        self._session = session
        self._reader = reader
        self._interpreter = interpreter
        self._settings = settings
        self._leaving = leaving
        self._moved_s = time.monotonic()

    async def run(self) -> None:
        """Carry both ways until the end, then say goodbye."""
        begun_s = time.monotonic()
        ending = await self._end()
        if ending.code is not None:
            await say_goodbye(self._websocket, ending)
        _LOG.info("session %s: %s after %.1f s", self._session.id, ending.why, time.monotonic() - begun_s)

    async def _end(self) -> Ending:
        """Return how it ended first."""
        try:
            async with asyncio.TaskGroup() as group:
                tasks = [
                    group.create_task(part)
                    for part in (self._listen(), self._speak(), self._await_job(), self._await_stop())
                ]
                await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
                first = next(task for task in tasks if task.done())
                for task in tasks:
                    task.cancel()
            return first.result()
        except* Exception as faults:
            _LOG.error("session %s failed", self._session.id, exc_info=faults)
            fault = Failure("The server had an error while processing your session.")
        return Ending("failed", *_WORKER_GONE, error=fault)

    async def _listen(self) -> Ending:
        """Carry from the socket to the bus. While the bus is slow nothing is read, and so the client is slowed down."""
        receive, read, write = self._websocket.receive, self._reader.read, self._session.line.write
        try:
            while True:
                message = await receive()
                if message["type"] == "websocket.disconnect":
                    return Ending(f"client left ({message.get('code')})")
                text = message.get("text")
                frame = await read(message["bytes"] if text is None else text)
                if frame is not None:
                    await write(*frame)
        except Unavailable as error:
            return Ending("bus away", *_BUS_AWAY, error=error)

    async def _speak(self) -> Ending:
        """Carry from the bus to the socket. While the client is slow nothing is read from the bus."""
        line, slow_s = self._session.line, self._settings.realtime_slow.total_seconds()
        try:
            outputs = await self._first_outputs()
            while outputs:
                for output in outputs:
                    if output.kind == "close":
                        told = orjson.loads(output.data)
                        return Ending("session over", told["code"], told["reason"])
                    async with asyncio.timeout(slow_s):
                        for text in self._interpreter.outward(output):
                            await send_text(self._websocket, text)
                    self._moved_s = time.monotonic()
                    line.sent(output.entry)
                outputs = await line.read()
        except Unavailable as error:
            return Ending("bus away", *_BUS_AWAY, error=error)
        except TimeoutError:
            return Ending("client too slow")
        except WebSocketDisconnect:
            return Ending("client left")
        late = Unavailable("No worker has taken the session in time. Please try again shortly.")
        return Ending("not started", *_NOT_STARTED, error=late)

    async def _first_outputs(self) -> list[SessionOutput]:
        """Return what a session begins with, nothing if it does not begin in time."""
        try:
            async with asyncio.timeout(self._settings.realtime_start.total_seconds()):
                return await self._session.line.read()
        except TimeoutError:
            return []

    async def _await_job(self) -> Ending:
        """Return when the session's job has ended without closing the socket: its worker has failed for good."""
        try:
            outcome = await self._session.call.outcome()
            why = f"job {outcome.status}"
        except DeadlineExceeded:
            why = "job lost"
        # It is the silence that is waited for, which no event tells of.
        while (left_s := self._moved_s + _LAST_WORDS_S - time.monotonic()) > 0:  # noqa: ASYNC110
            await asyncio.sleep(left_s)
        fault = Failure("The server had an error while processing your session.")
        return Ending(why, *_WORKER_GONE, error=fault)

    async def _await_stop(self) -> Ending:
        await self._leaving.closed.wait()
        await self._leaving.pause(self._settings.realtime_grace.total_seconds())
        return Ending("server stops", *_RESTARTING)


async def say_goodbye(websocket: WebSocket, ending: Ending) -> None:
    """Tell how it ended, in an event if there is an error, and close the socket. Takes seconds at most."""
    reason = ending.reason.encode()[:_MAX_REASON_BYTES].decode(errors="ignore")
    try:
        async with asyncio.timeout(_GOODBYE_S):
            if ending.error is not None:
                await send_text(websocket, _error_event(told(ending.error)))
            await websocket.send({"type": "websocket.close", "code": ending.code, "reason": reason})
    except (TimeoutError, WebSocketDisconnect, RuntimeError):
        return


async def send_text(websocket: WebSocket, text: str) -> None:
    """Send a message. Raises `WebSocketDisconnect` when the client is gone."""
    try:
        await websocket.send({"type": "websocket.send", "text": text})
    except RuntimeError as error:
        # What comes behind a close frame, which the server may have sent for a client that answers no pings.
        raise WebSocketDisconnect(1006) from error


def _error_event(info: ErrorInfo) -> str:
    error = {"type": info.type, "code": info.code, "message": info.message, "param": info.param, "event_id": None}
    event = {"type": "error", "event_id": f"event_{secrets.token_hex(10)}", "error": error}
    return orjson.dumps(event).decode()
