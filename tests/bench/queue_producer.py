"""A producer's process: publishes as many jobs as it is told, one by one or in bulk."""

from __future__ import annotations

import sys
import time

import uvloop

from antiphon import Producer
from tests.bench.bus_callers import make_job
from tests.bench.orders import orders


async def main(redis_url: str) -> None:
    """Obey `<form> <jobs>`; answer when the first job and the last one had been handed over."""
    async with Producer.open(redis_url) as producer:
        async for order in orders():
            form, jobs = order.split()
            begun = time.monotonic()
            if form == "single":
                for _ in range(int(jobs)):
                    await producer.publish(make_job(), priority="bulk")
            else:
                await producer.publish_many(make_job() for _ in range(int(jobs)))
            print(begun, time.monotonic(), flush=True)


if __name__ == "__main__":
    uvloop.run(main(sys.argv[1]))
