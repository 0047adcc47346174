"""A job that is posted and left alone, and the webhook that tells of its end."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from antiphon.errors import Unavailable

if TYPE_CHECKING:
    from openai import AsyncOpenAI

LOOPBACK = "127.0.0.0/8"
"""The network in which the receiver is; the platform must be allowed to send there."""
_PATIENCE_S = 60.0

Post = tuple[dict[str, str], bytes]


async def transcribe_later(client: AsyncOpenAI, recording: Path, **fields: str) -> dict[str, Any]:
    """Post a recording as a job, wait for the webhook of its end, verify it; return the job as the event has it.

    Raises `Unavailable` when nothing comes, `openai.OpenAIError`.
    """
    async with _receiver() as (url, posts):
        with recording.open("rb") as file:
            job: Any = await client.post(
                "/jobs",
                cast_to=object,
                body={"kind": "transcribe", "model": "whisper-1", "webhook": url, **fields},
                files={"file": (recording.name, file)},
                options={"headers": {"Content-Type": "multipart/form-data"}},
            )
        try:
            async with asyncio.timeout(_PATIENCE_S):
                headers, body = await posts.get()
        except TimeoutError:
            raise Unavailable(f"no webhook told of the job within {_PATIENCE_S:.0f} s") from None
        event: Any = client.webhooks.unwrap(body, headers, secret=job["webhook"]["secret"])
        told: dict[str, Any] = event.to_dict()
        return dict(told["data"])


@asynccontextmanager
async def _receiver() -> AsyncIterator[tuple[str, asyncio.Queue[Post]]]:
    """Listen for posts on a port of its own, and answer each with 204."""
    posts: asyncio.Queue[Post] = asyncio.Queue()

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").splitlines()[1:]
            headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in head) if name}
            posts.put_nowait((headers, await reader.readexactly(int(headers["content-length"]))))
            writer.write(b"HTTP/1.1 204 No Content\r\nconnection: close\r\n\r\n")
            await writer.drain()
        finally:
            writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    async with server:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/hook", posts
