"""One run: what was put on the bus and through the door, and what became of it."""

from __future__ import annotations

import asyncio
import random
import time
from collections import Counter
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

import httpx
import redis

from antiphon.bus import Caller
from antiphon.errors import Unavailable
from antiphon.schemas import PRIORITIES, BlobRef, Outcome, Priority, TranscribeJob, WebhookTarget
from tests.chaos.receiver import Receiver
from tests.servers import Server

LANES = ("transcribe", "webhook")
STREAMS = tuple(f"jobs:{{{lane}}}:{priority}" for lane in LANES for priority in PRIORITIES)
API_KEY = "chaos-key"
_SILENCE = "data:audio/wav;base64,UklGRiYAAABXQVZFZm10IBAAAAABAAEAgD4AAAB9AAACABAAZGF0YQIAAAAAAA=="
_DEADLINE = timedelta(minutes=10)


@dataclass
class Scene:
    """Jobs of several characters, each put twice when its producer is in doubt."""

    server: Server
    chance: random.Random
    receiver: Receiver
    metadata: dict[str, dict[str, str]] = field(default_factory=dict)
    """How each job goes, by its id."""
    streamed: set[str] = field(default_factory=set)
    waiting: list[asyncio.Task[Outcome]] = field(default_factory=list)
    events: Counter[str] = field(default_factory=Counter)

    def character(self, number: int) -> dict[str, str]:
        """Return how job `number` goes."""
        do = "flaky" if number % 10 == 0 else "poison" if number % 37 == 5 else "fall" if number == 50 else "ok"
        return {"do": do, "ms": str(self.chance.choice((5, 20, 60, 150)))}

    async def put(self, caller: Caller, number: int) -> None:
        """Put a job on the lane as producers do: again after an error, whether or not it had arrived."""
        metadata = self.character(number)
        stream = metadata["do"] == "ok" and number % 6 == 3
        if stream:
            metadata["ms"] = "10"
        job = TranscribeJob(
            id=f"job-{number}",
            audio=BlobRef(uri="redis:x"),
            model="m",
            metadata=metadata,
            stream=stream,
            webhook=WebhookTarget(url=self.receiver.url, secret=self.receiver.secret),
        )
        self.metadata[job.id] = metadata
        if stream:
            self.streamed.add(job.id)
        priority: Priority = self.chance.choice(PRIORITIES)
        copies = 2 if number % 15 == 3 else 1
        while copies:
            try:
                call = await caller.submit(job, priority=priority, expires_in_s=_DEADLINE.total_seconds())
            except Unavailable:
                self.events["refused"] += 1
                await asyncio.sleep(0.1)
                continue
            self.waiting.append(asyncio.create_task(call.outcome()))
            copies -= 1

    async def post(self, door: httpx.AsyncClient, number: int) -> None:
        """Post a job over HTTP until it is accepted, always under the same key."""
        metadata = self.character(number)
        order = {
            "kind": "transcribe",
            "model": "whisper-1",
            "audio": {"data": _SILENCE},
            "metadata": metadata,
            "stream": False,
            "webhook": {"url": self.receiver.url, "secret": self.receiver.secret},
        }
        for _ in range(2 if number % 15 == 3 else 1):
            job_id = await self._accepted(door, order, key=f"order-{number}")
            self.metadata.setdefault(job_id, metadata)
        self.events["posted"] += 1

    async def _accepted(self, door: httpx.AsyncClient, order: dict[str, Any], *, key: str) -> str:
        deadline = time.monotonic() + 60
        while True:
            try:
                reply = await door.post("/v1/jobs", json=order, headers={"idempotency-key": key})
            except httpx.TransportError:
                self.events["door away"] += 1
            else:
                if reply.status_code == httpx.codes.ACCEPTED:
                    return str(reply.json()["id"])
                assert reply.status_code in {429, 503}, reply.text
                self.events[f"door {reply.status_code}"] += 1
            assert time.monotonic() < deadline, "the door does not come back"
            await asyncio.sleep(0.1)

    def at_rest(self) -> bool:
        """Tell whether nothing is unfinished."""
        return self.unfinished() == []

    def unfinished(self) -> list[str]:
        """Look at all of a lane at once: between two looks a job may move from `delayed` to its stream."""
        try:
            return [found for lane in LANES for found in self._unfinished(lane)]
        except redis.RedisError as error:
            return [f"the server: {error}"]

    def _unfinished(self, lane: str) -> list[str]:
        streams = [stream for stream in (*STREAMS, "events:{transcribe}") if f"{{{lane}}}" in stream]
        with self.server.client(f"{{{lane}}}") as client:
            pipeline = client.pipeline(transaction=True)
            for stream in streams:
                pipeline.xinfo_groups(stream)
            pipeline.zcard(f"jobs:{{{lane}}}:delayed")
            *groups, delayed = pipeline.execute()
        found = [f"{lane}: {delayed} delayed"] if delayed else []
        for stream, rows in zip(streams, groups, strict=True):
            if not rows or any(row["pending"] or row["lag"] for row in rows):
                found.append(f"{stream}: {rows or 'no group'}")
        return found
