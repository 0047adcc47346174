"""A worker whose jobs say how they go: `python -m tests.chaos.worker`. Each execution is counted under `exec:<job>`."""

from __future__ import annotations

import asyncio
import os
import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from antiphon.blobs import Blobs
from antiphon.bus import Handler, Work
from antiphon.bus.servers import connect
from antiphon.runtime import Worker, run
from antiphon.schemas import Job, Transcript
from antiphon.settings import WorkerSettings

SETTINGS = WorkerSettings.from_environment()


@asynccontextmanager
async def open_handler(_: Blobs) -> AsyncIterator[Handler[Job]]:
    servers = connect(SETTINGS.bus)

    async def handle(job: Job, work: Work) -> Transcript:
        outbox.send("INCR", f"exec:{job.id}")
        await outbox.call("EXPIRE", f"exec:{job.id}", 3600)
        do = job.metadata.get("do", "ok")
        if do == "crash" or (do == "fall" and work.attempt <= 2):
            os._exit(9)
        if job.stream:
            for i in range(int(job.metadata.get("events", "5"))):
                await work.emit("delta", f"{work.attempt}:{i}".encode())
                await asyncio.sleep(float(job.metadata.get("ms", "10")) / 1000)
        else:
            await asyncio.sleep(float(job.metadata.get("ms", "10")) / 1000)
        if do == "poison" or (do == "flaky" and random.random() < 0.5):
            raise RuntimeError(do)
        return Transcript(task="transcribe", language="en", duration=1.0, text=f"heard by {os.getpid()}")

    async with servers.outbox({}) as outbox:
        yield handle
    await servers.close()


if __name__ == "__main__":
    run(
        Worker(
            name="chaos",
            lane="transcribe",
            settings=SETTINGS,
            concurrency=SETTINGS.concurrency,
            open=open_handler,
        )
    )
