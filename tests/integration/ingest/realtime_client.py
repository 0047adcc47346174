"""A client that says what a test wants, byte for byte."""

from __future__ import annotations

import base64
from typing import Any

import orjson
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import InvalidStatus

from tests.integration.ingest.conftest import KEY, Door

BEARER = {"authorization": f"Bearer {KEY}"}
MODEL = "gpt-realtime"


def url_of(door: Door, path: str) -> str:
    return str(door.client.base_url).replace("http", "ws", 1).rstrip("/") + path


def dial(
    door: Door, path: str = f"/v1/realtime?model={MODEL}", headers: dict[str, str] | None = BEARER, **options: Any
) -> Any:
    return connect(
        url_of(door, path),
        additional_headers=headers,
        compression=None,
        max_size=None,
        proxy=None,
        **options,
    )


async def refused(
    door: Door, path: str = f"/v1/realtime?model={MODEL}", headers: dict[str, str] | None = BEARER, **options: Any
) -> tuple[int, dict[str, Any], dict[str, str]]:
    """Return status, error and headers of an upgrade that is refused."""
    try:
        async with dial(door, path, headers, **options) as socket:
            raise AssertionError(f"the upgrade was accepted: {await socket.recv()!r}")
    except InvalidStatus as refusal:
        answer = refusal.response
        error = orjson.loads(answer.body or b"{}").get("error", {})
        return answer.status_code, error, {name.lower(): value for name, value in answer.headers.raw_items()}


async def receive(socket: ClientConnection) -> dict[str, Any]:
    event: dict[str, Any] = orjson.loads(await socket.recv())
    return event


def append(sound: bytes, **fields: Any) -> str:
    event = {"type": "input_audio_buffer.append", "audio": base64.b64encode(sound).decode(), **fields}
    return orjson.dumps(event).decode()
