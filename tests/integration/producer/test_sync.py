"""The producer without asyncio keeps the same promises, in any number of threads."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor

import pytest
import pytest_asyncio

from antiphon import SyncProducer
from antiphon.bus import Bus
from antiphon.errors import Unavailable
from antiphon.settings import BusSettings
from tests.integration.bus.conftest import Handler, make_job, serve
from tests.servers import Server

pytestmark = pytest.mark.integration


@pytest_asyncio.fixture
async def working(bus: Bus) -> AsyncIterator[Handler]:
    handler = Handler()
    async with serve(bus, handler, concurrency=16):
        yield handler


async def test_jobs_are_published_awaited_and_followed(settings: BusSettings, working: Handler) -> None:
    def work() -> None:
        with SyncProducer.open(settings) as producer:
            job_id = producer.publish(make_job())
            assert producer.outcome("transcribe", job_id, timeout_s=20).status == "completed"
            handle = producer.submit(make_job())
            assert [event.kind for event in handle.events()] == ["outcome"]
            assert handle.outcome().status == "completed"
            assert not handle.cancel()
            assert not producer.cancel("transcribe", job_id)
            streamed = producer.submit(make_job(stream=True))
            assert [event.kind for event in streamed.events()] == ["outcome"]
            assert [event.kind for event in producer.follow("transcribe", streamed.job_id)] == ["outcome"]
            assert producer.audio(b"abc").uri.startswith("data:")
            with pytest.raises(TimeoutError):
                producer.outcome("transcribe", "nobody", timeout_s=0.05)

    await asyncio.to_thread(work)


async def test_outcomes_are_iterated_over(settings: BusSettings, working: Handler) -> None:
    def work() -> list[str]:
        with SyncProducer.open(settings) as producer:
            assert producer.publish_many((make_job(id=f"job.{n}") for n in range(1_200)), reply="shop") == 1_200
            found: list[str] = []
            with producer.results("transcribe", "shop", group="books") as results:
                for result in results:
                    found.append(result.job_id)
                    result.done()
                    if len(found) == 1_200:
                        return found
            raise AssertionError("the results ended")

    assert sorted(await asyncio.to_thread(work)) == sorted(f"job.{n}" for n in range(1_200))


async def test_threads_share_a_producer(settings: BusSettings, working: Handler) -> None:
    def work() -> set[str]:
        with SyncProducer.open(settings) as producer, ThreadPoolExecutor(8) as threads:
            handles = list(threads.map(lambda _: producer.submit(make_job()), range(100)))
            return set(threads.map(lambda handle: handle.outcome(timeout_s=20).status, handles))

    assert await asyncio.to_thread(work) == {"completed"}


def test_what_is_closed_says_so_and_leaves_no_thread(server: Server) -> None:
    before = threading.active_count()
    with SyncProducer.open(server.url) as producer:
        assert threading.active_count() == before + 1
        producer.publish(make_job())
    assert threading.active_count() == before
    with pytest.raises(RuntimeError, match="closed"):
        producer.publish(make_job())


def test_an_error_of_the_caller_closes_the_producer(own_server: Server) -> None:
    before = threading.active_count()
    with pytest.raises(Unavailable), SyncProducer.open(own_server.url, patience_s=0.1) as producer:
        own_server.kill()
        producer.publish(make_job())
    assert threading.active_count() == before
