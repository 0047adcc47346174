"""People with keys that an operator has made."""

from __future__ import annotations

import io
import wave
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import httpx

from antiphon.bus import Bus, Limits
from antiphon.keys import KeyRecord, Keys
from tests.integration.ingest.conftest import Door


@dataclass(frozen=True)
class Holder:
    """Somebody with a key."""

    record: KeyRecord
    key: str
    client: httpx.AsyncClient

    @property
    def bearer(self) -> dict[str, str]:
        return {"authorization": f"Bearer {self.key}"}

    async def transcribe(self, model: str = "whisper-1", **data: Any) -> httpx.Response:
        files = {"file": ("a.wav", wav(), "audio/wav")}
        return await self.client.post("/v1/audio/transcriptions", files=files, data={"model": model, **data})


@asynccontextmanager
async def holding(
    door: Door,
    bus: Bus | None = None,
    *,
    rpm: int | None = None,
    audio: int | None = None,
    at_once: int | None = None,
    name: str = "ci",
    **terms: Any,
) -> AsyncIterator[Holder]:
    """Make a key at a door's bus, for somebody who talks to that door."""
    limits = Limits(requests_per_minute=rpm, audio_seconds_per_minute=audio, concurrency=at_once)
    record, key = await Keys(bus or door.bus).create(name=name, limits=limits, **terms)
    async with client_of(door, key) as client:
        yield Holder(record, key, client)


def client_of(door: Door, key: str) -> httpx.AsyncClient:
    return httpx.AsyncClient(
        base_url=door.client.base_url, headers={"authorization": f"Bearer {key}"}, trust_env=False, timeout=20
    )


def wav(seconds: float = 0.2) -> bytes:
    """Return silence as a file."""
    file = io.BytesIO()
    with wave.open(file, "wb") as sound:
        sound.setnchannels(1)
        sound.setsampwidth(2)
        sound.setframerate(16_000)
        sound.writeframes(b"\0" * int(seconds * 32_000))
    return file.getvalue()
