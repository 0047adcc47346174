"""Requests to the door, as plain as an HTTP client makes them."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import httpx

    from tests.bench.clips import Clip


async def transcribe(client: httpx.AsyncClient, clip: Clip, **fields: Any) -> str:
    """Return the text of a clip."""
    form = {"model": "whisper-1", **fields}
    reply = await client.post("/audio/transcriptions", files={"file": (clip.path.name, clip.data)}, data=form)
    reply.raise_for_status()
    text: str = reply.json()["text"]
    return text


async def first_byte_s(client: httpx.AsyncClient, *, model: str, voice: str, text: str, audio_format: str) -> float:
    """Return seconds until the first byte of speech; read the rest too."""
    body = {"model": model, "voice": voice, "input": text, "response_format": audio_format}
    start = time.perf_counter()
    first = 0.0
    async with client.stream("POST", "/audio/speech", json=body) as reply:
        reply.raise_for_status()
        async for _ in reply.aiter_raw():
            first = first or time.perf_counter() - start
    return first
