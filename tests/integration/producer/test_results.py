"""A stream of outcomes that consumers of a group share: nothing is lost with one of them, nothing stays for ever."""

from __future__ import annotations

import asyncio
import subprocess
import sys

import pytest

from antiphon import Producer
from antiphon.bus import Bus
from antiphon.producer import Result, Results
from antiphon.settings import BusSettings
from tests.eventually import eventually
from tests.integration.bus.conftest import Handler, make_job, make_settings, serve
from tests.servers import Server

pytestmark = pytest.mark.integration

STREAM = "replies:{transcribe}:shop"


async def finish(bus: Bus, producer: Producer, count: int, *, first: int = 0) -> set[str]:
    """Have jobs done whose outcomes go to `shop`; return their ids."""
    ids = [f"job.{n}" for n in range(first, first + count)]
    await producer.publish_many([make_job(id=each) for each in ids], reply="shop")
    async with serve(bus, Handler(), concurrency=16):
        for each in ids:
            await producer.outcome("transcribe", each, timeout_s=20)
    return set(ids)


async def take(results: Results, count: int) -> list[Result]:
    async with asyncio.timeout(20):
        return [await anext(results) for _ in range(count)]


def groups(server: Server) -> dict[str, tuple[int, int]]:
    """Return what each group has pending, and what it has not read."""
    return {row["name"].decode(): (row["pending"], row["lag"]) for row in server.describe("XINFO", "GROUPS", STREAM)}


async def test_each_outcome_goes_to_one_consumer_of_every_group(server: Server, bus: Bus, producer: Producer) -> None:
    ids = await finish(bus, producer, 200)
    taken: dict[str, list[str]] = {"a": [], "b": [], "other": []}

    async def consume(name: str, group: str) -> None:
        async with producer.results("transcribe", "shop", group=group) as results:
            async for result in results:
                assert result.outcome.status == "completed"
                taken[name].append(result.job_id)
                await result.done()

    async with asyncio.TaskGroup() as tasks:
        consumers = [tasks.create_task(consume(*each)) for each in (("a", "books"), ("b", "books"), ("other", "mail"))]
        await eventually(lambda: len(taken["a"] + taken["b"]) >= 200 and len(taken["other"]) >= 200)
        for consumer in consumers:
            consumer.cancel()
    assert sorted(taken["a"] + taken["b"]) == sorted(taken["other"]) == sorted(ids)
    assert groups(server) == {"books": (0, 0), "mail": (0, 0)}
    assert server.do("XLEN", STREAM) == 1, "trimmed behind what every group has finished with"


async def test_what_a_dead_consumer_held_is_taken_over(server: Server, bus: Bus, producer: Producer) -> None:
    ids = await finish(bus, producer, 5)
    program = f"""
import asyncio
from antiphon import Producer
async def main():
    async with Producer.open({server.url!r}) as producer:
        async with producer.results("transcribe", "shop", group="books") as results:
            async for result in results:
                print(result.job_id, flush=True)
asyncio.run(main())
"""
    with subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE) as dead:
        assert dead.stdout is not None
        held = [await asyncio.to_thread(dead.stdout.readline) for _ in range(5)]
        dead.kill()
    assert {line.decode().strip() for line in held} == ids
    async with producer.results("transcribe", "shop", group="books") as results:
        again = await take(results, 5)
        assert {each.job_id for each in again} == ids
        for each in again:
            await each.done()
    assert groups(server) == {"books": (0, 0)}


async def test_what_is_not_done_is_given_back_at_once(bus: Bus, producer: Producer, server: Server) -> None:
    settings = make_settings(server)
    await finish(bus, producer, 3)
    async with producer.results("transcribe", "shop", group="books") as results:
        first, second, third = await take(results, 3)
        await second.done()
    async with Producer.open(settings) as another, another.results("transcribe", "shop", group="books") as results:
        begun = asyncio.get_running_loop().time()
        again = await take(results, 2)
        assert asyncio.get_running_loop().time() - begun < 1.0
    assert [each.entry for each in again] == [first.entry, third.entry]


async def test_a_consumer_with_a_name_begins_with_what_it_held(bus: Bus, producer: Producer, server: Server) -> None:
    await finish(bus, producer, 3)
    with server.client() as client:
        client.xgroup_create(STREAM, "books", id="0")
        held = client.xreadgroup("books", "me", {STREAM: ">"}, count=2)
    async with producer.results("transcribe", "shop", group="books", consumer="me") as results:
        again = await take(results, 3)
    assert [each.entry.encode() for each in again[:2]] == [entry for entry, _ in held[0][1]]


async def test_a_slow_consumer_keeps_what_it_holds(bus: Bus, producer: Producer, settings: BusSettings) -> None:
    quick = settings.model_copy(update={"lease": settings.lease / 4})
    await finish(bus, producer, 1)
    async with (
        Producer.open(quick) as one,
        Producer.open(quick) as two,
        one.results("transcribe", "shop", group="books") as slow,
        two.results("transcribe", "shop", group="books") as idle,
    ):
        (result,) = await take(slow, 1)
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(3 * quick.lease.total_seconds()):
                await anext(idle)
        await result.done()


async def test_no_more_is_held_than_was_agreed(bus: Bus, producer: Producer) -> None:
    await finish(bus, producer, 70)
    async with producer.results("transcribe", "shop", group="books", limit=10) as results:
        held = await take(results, 64)
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.5):
                await anext(results)
        for each in held:
            await each.done()
        assert len(await take(results, 6)) == 6


async def test_outcomes_wait_for_a_group_and_not_for_nobody(server: Server, bus: Bus, producer: Producer) -> None:
    with server.client() as client:
        pipeline = client.pipeline(transaction=False)
        for n in range(10_500):
            pipeline.xadd(STREAM, {"id": f"old.{n}", "data": f'{{"id":"old.{n}","status":"completed"}}'})
        pipeline.expire(STREAM, 3_600)
        pipeline.execute()
        async with producer.results("transcribe", "shop", group="books") as results:
            await take(results, 1)
            assert client.ttl(STREAM) > 6 * 24 * 3_600
        await finish(bus, producer, 1)
        assert client.xlen(STREAM) > 10_400
        assert client.ttl(STREAM) > 6 * 24 * 3_600
        client.xgroup_destroy(STREAM, "books")
        await finish(bus, producer, 1, first=1)
        assert client.xlen(STREAM) < 10_300


async def test_iterating_goes_on_when_the_server_comes_back(own_server: Server) -> None:
    settings = make_settings(own_server)
    async with (
        Bus.open(settings) as bus,
        Producer.open(settings) as producer,
        producer.results("transcribe", "shop", group="books") as results,
    ):
        ids = await finish(bus, producer, 2)
        first, second = await take(results, 2)
        await first.done()
        own_server.kill()
        waiting = asyncio.create_task(take(results, 1))
        done = asyncio.create_task(second.done())
        await asyncio.sleep(0.2)
        own_server.start()
        await done
        more = await finish(bus, producer, 1, first=2)
        (third,) = await waiting
        assert {third.job_id} == more
        await third.done()
        assert ids.isdisjoint(more)
    assert own_server.leaks() == []


async def test_a_stream_that_was_lost_is_made_again(server: Server, bus: Bus, producer: Producer) -> None:
    async with producer.results("transcribe", "shop", group="books") as results:
        await finish(bus, producer, 1)
        await take(results, 1)
        server.do("DEL", STREAM)
        waiting = asyncio.create_task(take(results, 1))
        await finish(bus, producer, 1, first=1)
        (result,) = await waiting
        assert result.job_id == "job.1"


async def test_results_are_read_where_they_can_be_given_back(producer: Producer) -> None:
    with pytest.raises(RuntimeError, match="async with"):
        async for _ in producer.results("transcribe", "shop", group="books"):
            pass
