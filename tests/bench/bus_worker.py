"""A worker process with a job that does nothing: all that a real one does, less the model."""

from __future__ import annotations

import gc
import sys
from contextlib import AsyncExitStack

import uvloop

from antiphon.bus import Bus, Work
from antiphon.schemas import Schema, TranscribeJob
from antiphon.settings import BusSettings
from tests.bench.orders import answer, orders


class Nothing(Schema):
    """The result of a job that does nothing."""

    text: str


_NOTHING = Nothing(text="And so, my fellow Americans")


async def do_nothing(job: TranscribeJob, work: Work) -> Nothing:
    """Return at once."""
    return _NOTHING


async def main(redis_url: str, slots: int) -> None:
    """Obey `serve` and `stop`."""
    async with Bus.open(BusSettings(redis_url=redis_url)) as bus, AsyncExitStack() as stack:
        gc.collect()
        gc.freeze()
        async for order in orders():
            if order == "serve":
                await stack.enter_async_context(bus.serve("transcribe", TranscribeJob, do_nothing, concurrency=slots))
            else:
                await stack.aclose()
            answer(order)


if __name__ == "__main__":
    uvloop.run(main(sys.argv[1], int(sys.argv[2])))
