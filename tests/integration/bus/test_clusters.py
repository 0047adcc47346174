"""What only a cluster does: a master dies and its replica is promoted, a slot moves, nodes are asked for the way."""

from __future__ import annotations

import asyncio
import signal
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from redis.exceptions import ClusterCrossSlotError, ResponseError

from antiphon.bus import Bus, Caller, SessionOutput
from antiphon.errors import Unavailable
from antiphon.schemas import Job, JobEvent, Kind, Outcome, SynthesizeJob
from tests.clusters import Cluster, cluster
from tests.eventually import eventually
from tests.integration.bus.conftest import Handler, make_job, make_settings, result_of, serve
from tests.nodes import Node

pytestmark = pytest.mark.integration


@pytest.fixture(scope="module")
def three_masters(server_program: Path) -> Iterator[Cluster]:
    with cluster(server_program) as servers:
        yield servers


@pytest.fixture
def masters(three_masters: Cluster) -> Iterator[Cluster]:
    """Three empty masters whose slots a test may move, and afterwards the proof that nothing was left for ever."""
    three_masters.do("FLUSHALL")
    yield three_masters
    assert three_masters.leaks() == []


@pytest.fixture
def pairs(server_program: Path) -> Iterator[Cluster]:
    """Three masters with a replica each, which misses its master after a second and a half."""
    with cluster(server_program, replicas=1, node_timeout_ms=1500) as servers:
        yield servers


def fail_over_and_come_back(servers: Cluster) -> Node:
    """Kill a master, start it again as the replica of its successor, which is wanted for each job; return it."""
    victim = servers.fail_over("{transcribe}")
    victim.start()
    return victim


async def is_away(bus: Bus) -> bool:
    try:
        await bus.ping()
    except Unavailable:
        return True
    return False


async def submitted(caller: Caller, job: Job) -> Outcome:
    """Submit as producers do, again after an error whether or not it had arrived."""
    while True:
        try:
            return await (await caller.submit(job)).outcome()
        except Unavailable:
            await asyncio.sleep(0.1)


async def test_the_death_of_a_lane_s_master_loses_no_job_and_gives_none_two_results(pairs: Cluster) -> None:
    settings = make_settings(pairs, replicas=1, max_attempts=5)
    handler = Handler(work_s=0.05)
    jobs = [make_job() for _ in range(150)]
    async with (
        Bus.open(settings) as bus,
        bus.caller() as caller,
        Bus.open(settings) as workers,
        serve(workers, handler, concurrency=4),
        asyncio.TaskGroup() as group,
    ):
        outcomes = []
        for number, job in enumerate(jobs):
            outcomes.append(group.create_task(submitted(caller, job)))
            if number == 50:
                failing = group.create_task(asyncio.to_thread(fail_over_and_come_back, pairs))
                await eventually(lambda: is_away(bus))
            await asyncio.sleep(0.02)
        victim = await failing
        await eventually(lambda: len(handler.ended) >= len(jobs))
        await bus.ping()
    told = {task.result().id: task.result() for task in outcomes}
    assert set(told) == {job.id for job in jobs}
    assert {outcome.status for outcome in told.values()} == {"completed"}
    changed = [job_id for job_id, outcome in told.items() if result_of(pairs, job_id) != outcome]
    # What a master had told and not yet copied when it died is done again by its successor.
    assert len(changed) <= 3, changed
    assert pairs.master_of("{transcribe}") is not victim
    assert pairs.do("XLEN", "jobs:{transcribe}:dead") == 0
    assert pairs.leaks() == []


async def test_no_caller_notices_that_the_slot_of_a_lane_moves(masters: Cluster) -> None:
    handler = Handler(work_s=0.01)
    settings = make_settings(masters)
    words = [b"%d" % i for i in range(300)]

    class Reciting(Handler):
        async def __call__(self, job: Job, work: Any) -> Any:
            for word in words:
                await work.emit("delta", word)
                await asyncio.sleep(0.01)
            return await super().__call__(job, work)

    async with (
        Bus.open(settings) as bus,
        bus.caller() as caller,
        serve(bus, handler),
        Bus.open(settings) as other,
        other.serve("synthesize", SynthesizeJob, Reciting(), concurrency=1),
        asyncio.TaskGroup() as group,
    ):
        recited = await caller.submit(_speech())
        heard: list[bytes] = []

        async def listen() -> None:
            async for event in recited.events():
                if event.kind == "delta":
                    heard.append(event.data)

        listening = group.create_task(listen())
        moving = [group.create_task(asyncio.to_thread(masters.move, f"{{{lane}}}")) for lane in ("transcribe",)]
        moving.append(group.create_task(_later(1.0, masters, "{synthesize}")))
        outcomes = []
        while not all(task.done() for task in moving):
            # Not one is refused, also while its keys are on two masters.
            outcomes.append(group.create_task((await caller.submit(make_job())).outcome()))
            await asyncio.sleep(0.02)
        for task in outcomes:
            assert (await task).status == "completed"
        await listening
    assert heard == words
    assert len(handler.begun) == len(outcomes), "nothing was done twice"


async def _later(pause_s: float, servers: Cluster, key: str) -> None:
    await asyncio.sleep(pause_s)
    await asyncio.to_thread(servers.move, key, pause=lambda: time.sleep(0.05))


def _speech() -> SynthesizeJob:
    return SynthesizeJob(text="x", model="m", voice="v", stream=True)


async def test_a_master_that_hangs_holds_up_nobody_else(masters: Cluster) -> None:
    async with Bus.open(make_settings(masters)) as bus:
        outbox = bus.scripts.outbox
        hung = masters.master_of("{transcribe}")
        elsewhere = next(key for key in map(str, range(100)) if masters.master_of(key) is not hung)
        await asyncio.gather(outbox.call("EXISTS", "a{transcribe}"), outbox.call("EXISTS", elsewhere))
        hung.signal(signal.SIGSTOP)
        try:
            waiting = outbox.call("EXISTS", "a{transcribe}")
            async with asyncio.timeout(2):
                for _ in range(20):
                    assert await outbox.call("EXISTS", elsewhere) == 0
            assert not waiting.done()
        finally:
            hung.signal(signal.SIGCONT)
        assert await waiting == 0


async def test_the_events_of_lanes_on_several_masters_are_read_beside_each_other(masters: Cluster) -> None:
    lanes: tuple[Kind, ...] = ("transcribe", "synthesize", "respond", "translate")
    assert len({masters.master_of(f"{{{lane}}}").port for lane in lanes}) > 1
    async with Bus.open(make_settings(masters)) as bus, bus.events("readers", kinds=lanes) as reader:
        assert await reader.read() == []
        for number in range(5):
            for lane in lanes:
                event = JobEvent(id=f"{lane}-{number}", type="job.completed", created_ms=0, kind=lane, tenant="t")
                await bus.scripts.outbox.call("XADD", f"events:{{{lane}}}", "*", "data", event.model_dump_json())
        found: list[str] = []
        async with asyncio.timeout(15):
            while len(found) < 20:
                announced = await reader.read()
                await reader.done(announced)
                found += [each.event.id for each in announced]
        assert sorted(found) == sorted(f"{lane}-{number}" for lane in lanes for number in range(5))
        for lane in lanes:
            assert masters.describe("XINFO", "GROUPS", f"events:{{{lane}}}")[0]["pending"] == 0


async def test_commands_of_a_key_stay_in_order_while_it_moves(masters: Cluster) -> None:
    async with Bus.open(make_settings(masters)) as bus:
        outbox = bus.scripts.outbox
        moving = asyncio.create_task(asyncio.to_thread(masters.move, "{list}", pause=lambda: time.sleep(0.1)))
        for other in range(10):
            outbox.send("SET", f"{other}{{list}}", "x", "EX", 60)
        replies, count = [], 0
        while not moving.done():
            for _ in range(20):
                replies.append(outbox.call("RPUSH", "a{list}", count))
                count += 1
            await asyncio.sleep(0.001)
        assert [await reply for reply in replies] == list(range(1, count + 1))
        assert masters.do("LRANGE", "a{list}", 0, -1) == [b"%d" % i for i in range(count)]
        await outbox.call("DEL", "a{list}")


async def test_a_live_session_goes_on_while_its_slot_moves(masters: Cluster) -> None:
    async with Bus.open(make_settings(masters)) as bus, bus.session_door() as door, bus.session_host() as host:
        line, held = door.open("sess_a"), await host.take("sess_a")
        held.follow(b"0-0")
        count = 200

        async def speak() -> None:
            for i in range(count):
                await line.write("audio", b"%d" % i)
                await asyncio.sleep(0.005)

        async def answer() -> None:
            n = 0
            while n < count:
                for item in await held.read():
                    await held.commit([SessionOutput("event", item.data)], {"at": item.entry})
                    n += 1

        async def hear() -> list[bytes]:
            found: list[bytes] = []
            while len(found) < count:
                found += [item.data for item in await line.read()]
            return found

        async with asyncio.TaskGroup() as group:
            group.create_task(speak())
            group.create_task(answer())
            hearing = group.create_task(hear())
            await asyncio.sleep(0.3)
            await asyncio.to_thread(masters.move, "{realtime}", pause=lambda: time.sleep(0.02))
        assert hearing.result() == [b"%d" % i for i in range(count)]
        await line.close("")
        await held.finish()


async def test_a_master_that_has_forgotten_the_scripts_is_given_them(masters: Cluster) -> None:
    async with Bus.open(make_settings(masters)) as bus, bus.caller() as caller, serve(bus, Handler()):
        assert (await (await caller.submit(make_job())).outcome()).status == "completed"
        masters.do("SCRIPT", "FLUSH")
        assert (await (await caller.submit(make_job())).outcome()).status == "completed"


async def test_one_node_of_the_url_is_enough_and_what_names_no_key_is_told(masters: Cluster) -> None:
    url = f"redis+cluster://127.0.0.1:{masters.nodes[1].port}"
    async with Bus.open(make_settings(masters, redis_url=url)) as bus:
        outbox = bus.scripts.outbox
        await asyncio.gather(*(outbox.call("SET", f"k{i}", i, "EX", 60) for i in range(100)))
        assert await asyncio.gather(*(outbox.call("GET", f"k{i}") for i in range(100))) == [
            b"%d" % i for i in range(100)
        ]
        assert len(await outbox.everywhere("PING")) == 3
        used, limit = await bus.memory()
        assert used > 3_000_000
        assert limit == 0
        with pytest.raises(ValueError, match="names no key"):
            await outbox.call("PING")
        with pytest.raises((ClusterCrossSlotError, ResponseError)):
            await outbox.call("DEL", "k1", "k2")
