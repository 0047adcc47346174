"""A worker of live sessions that answers each input with its number: `python session_worker.py URL`, until SIGTERM."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from datetime import timedelta

from antiphon.bus import Bus, Handler, RetryPolicy, SessionHost, SessionOutput, Work
from antiphon.schemas import RealtimeJob, Schema
from antiphon.settings import BusSettings


class Over(Schema):
    """What is left of a session."""

    answered: int


def echoing(host: SessionHost) -> Handler[RealtimeJob]:
    """Return a handler that answers every input with how many there were before it, and which process says so."""

    async def answer(job: RealtimeJob, work: Work) -> Over:
        held = await host.take(job.id)
        try:
            count = int(held.snapshot.get("count", b"0"))
            held.follow(held.snapshot.get("at", b"0-0"))
            while True:
                for item in await held.read():
                    said = f"{count} {item.kind} {item.data.decode()} {os.getpid()}".encode()
                    count += 1
                    changes = {"count": b"%d" % count, "at": item.entry}
                    await held.commit([SessionOutput("event", said)], changes, trim_before=item.entry)
                    if item.kind == "left":
                        await held.commit([SessionOutput("close", b"{}")], {})
                        await held.finish()
                        return Over(answered=count)
        finally:
            held.release()

    return answer


async def serve(url: str) -> None:
    """Hold sessions under a short lease until SIGTERM, then hand them back at once."""
    stopping = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stopping.set)
    settings = BusSettings(redis_url=url, lease=timedelta(seconds=0.6), drain=timedelta(0))
    retry = RetryPolicy(1_000_000, timedelta(milliseconds=50), timedelta(seconds=1))
    async with (
        Bus.open(settings) as bus,
        bus.session_host() as host,
        bus.serve("realtime", RealtimeJob, echoing(host), concurrency=16, retry=retry),
    ):
        print("ready", flush=True)
        await stopping.wait()


if __name__ == "__main__":
    asyncio.run(serve(sys.argv[1]))
