"""The speech that a job has left, as it was encoded."""

from __future__ import annotations

from contextlib import aclosing
from typing import TYPE_CHECKING, cast

from starlette.responses import Response

from antiphon.schemas import Outcome, Speech
from services.ingest.disconnect import unless_gone

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

    from starlette.types import Receive, Scope, Send

    from antiphon.blobs import Blobs


class SpeechContent(Response):
    """Sends a blob piece by piece."""

    def __init__(self, blobs: Blobs, outcome: Outcome) -> None:
        super().__init__()
        self._blobs = blobs
        self._speech = Speech.model_validate(outcome.result)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send it. Raises `NotFound` and `Unavailable` while nothing is sent, `ClientDisconnect`."""
        await unless_gone(receive, self._send_all(send))

    async def _send_all(self, send: Send) -> None:
        headers = [
            (b"content-type", self._speech.media_type.encode()),
            (b"content-length", str(self._speech.size).encode()),
        ]
        started = False
        if self._speech.audio is not None:
            source = cast("AsyncGenerator[bytes, None]", self._blobs.read_pieces(self._speech.audio))
            async with aclosing(source) as pieces:
                async for piece in pieces:
                    if not started:
                        started = True
                        await send({"type": "http.response.start", "status": 200, "headers": headers})
                    await send({"type": "http.response.body", "body": piece, "more_body": True})
        if not started:
            await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": b"", "more_body": False})
