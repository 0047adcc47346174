"""What a producer is promised: one result for a job, an answer for each caller, refusal before the server is full."""

from __future__ import annotations

import asyncio
import itertools
import shutil
import subprocess
import time

import orjson
import pytest

from antiphon.bus import Bus, Caller
from antiphon.errors import Overloaded
from antiphon.schemas import Outcome, now_ms
from antiphon.settings import BusSettings
from tests.eventually import eventually
from tests.integration.bus.conftest import STD, Handler, make_job, make_settings, result_of, serve
from tests.servers import Server

pytestmark = pytest.mark.integration


async def test_two_hundred_calls_at_once_need_few_connections(server: Server, bus: Bus) -> None:
    async with bus.caller() as caller, serve(bus, Handler(), concurrency=16):
        calls = await asyncio.gather(*[caller.submit(make_job()) for _ in range(200)])
        outcomes = await asyncio.gather(*[call.outcome() for call in calls])
        connections = server.connections()
    assert {outcome.status for outcome in outcomes} == {"completed"}
    assert connections < 12


async def test_a_job_published_twice_has_one_result_and_both_callers_get_it(
    server: Server, settings: BusSettings
) -> None:
    handler = Handler(work_s=0.1)
    job = make_job()
    async with Bus.open(settings) as bus, bus.caller() as one, bus.caller() as two, serve(bus, handler):
        calls = [await caller.submit(job) for caller in (one, one, two)]
        begun = time.monotonic()
        outcomes = await asyncio.gather(*[call.outcome() for call in calls])
    assert outcomes[0] == outcomes[1] == outcomes[2] == result_of(server, job.id)
    assert time.monotonic() - begun < 4


async def test_copies_of_a_failing_job_never_bury_what_another_has_completed(server: Server, bus: Bus) -> None:
    class Once(Handler):
        async def __call__(self, job, work):  # type: ignore[no-untyped-def]
            await super().__call__(job, work)
            if len(self.ended) > 1:
                raise RuntimeError("not again")
            return self_done

    from tests.integration.bus.conftest import Done

    self_done = Done()
    job = make_job()
    for _ in range(2):
        server.do("XADD", STD, "*", "data", job.model_dump_json())
    handler = Once()
    async with serve(bus, handler, concurrency=1):
        await eventually(lambda: len(handler.begun) >= 4)
        await eventually(lambda: server.do("XLEN", STD) <= 1)
    outcome = result_of(server, job.id)
    assert outcome is not None
    assert outcome.status == "completed"
    assert server.do("XLEN", "jobs:{transcribe}:dead") == 0


async def test_the_same_idempotency_key_gives_the_same_job(server: Server, bus: Bus) -> None:
    async with bus.caller() as caller:
        first = await caller.publish(make_job(), idempotency_key="order 7 {x}")
        again = await caller.publish(make_job(), idempotency_key="order 7 {x}")
        other = await caller.publish(make_job(tenant="b"), idempotency_key="order 7 {x}")
    assert first.job_id == again.job_id != other.job_id
    assert (first.known, again.known, other.known) == (False, True, False)
    assert server.do("XLEN", STD) == 2


async def test_a_full_backlog_is_refused_with_the_time_it_takes(server: Server) -> None:
    settings = make_settings(server, max_backlog=20)
    handler = Handler(work_s=0.2, hold=True)
    async with Bus.open(settings) as bus, bus.caller() as caller, serve(bus, handler, concurrency=2):
        accepted = 0
        with pytest.raises(Overloaded) as unknown:
            for _ in range(30):
                await caller.submit(make_job())
                accepted += 1
        assert accepted == 20
        assert unknown.value.http_status == 429
        assert unknown.value.retry_after_s
        handler.release.set()
        # The next refusals come when the workers have told their pace: some 10 jobs a second.
        await eventually(lambda: _rate(server) > 0)
        told = [await _told(caller, number) for number in range(10)]
        # One place after the other becomes free, and each is promised once.
        assert told == sorted(told)
        assert 0.5 <= told[-1] <= 5
        await caller.submit(make_job(), priority="bulk")


async def test_who_was_refused_has_a_place_when_it_comes_back_as_told(server: Server) -> None:
    settings = make_settings(server, max_backlog=20)
    async with Bus.open(settings) as bus, bus.caller() as caller, serve(bus, Handler(work_s=0.2), concurrency=2):
        for _ in range(20):
            await caller.submit(make_job())
        await eventually(lambda: _rate(server) > 0)
        admitted: list[bool] = []

        async def come_back(number: int, told_s: float) -> None:
            await asyncio.sleep(told_s)
            admitted.append(await _is_admitted(caller, number))

        async def press() -> None:
            for number in itertools.count(1000):
                await _is_admitted(caller, number)
                await asyncio.sleep(0.02)

        async with asyncio.TaskGroup() as group:
            # Whoever comes meanwhile is many, and gets no place that is promised.
            crowd = group.create_task(press())
            await eventually(lambda: server.do("ZCARD", "promised:{transcribe}:std") > 0)
            told = [await _told(caller, number) for number in range(10)]
            early = await _told(caller, 9)
            assert told[9] - 1 < early <= told[9], "who comes too early is told the rest of the time"
            async with asyncio.TaskGroup() as returning:
                for number, told_s in enumerate(told):
                    returning.create_task(come_back(number, told_s))
            crowd.cancel()
        assert admitted == [True] * 10


async def test_a_place_is_not_kept_for_ever_for_who_does_not_come(server: Server) -> None:
    settings = make_settings(server, max_backlog=20)
    async with Bus.open(settings) as bus, bus.caller() as caller, serve(bus, Handler(work_s=0.05), concurrency=2):
        while not server.do("ZCARD", "promised:{transcribe}:std"):
            await _is_admitted(caller, 0)
        assert 0 < server.do("PTTL", "promised:{transcribe}:std") < 30_000
        # The jobs there were have been done, and nobody has come for the promised places.
        await eventually(lambda: _is_admitted(caller, 1))


async def _told(caller: Caller, number: int) -> float:
    """Come again and again until refused; return the seconds that are told."""
    while True:
        try:
            await caller.submit(make_job(metadata={"caller": str(number)}))
        except Overloaded as refusal:
            return refusal.retry_after_s or 0


async def _is_admitted(caller: Caller, number: int) -> bool:
    try:
        await caller.submit(make_job(metadata={"caller": str(number)}))
    except Overloaded:
        return False
    return True


def _rate(server: Server) -> float:
    reports = server.do("HVALS", "workers:{transcribe}")
    return sum(float(orjson.loads(report.split(b" ", 1)[1])["rate"]) for report in reports)


async def test_an_expired_job_is_settled_without_running(server: Server, bus: Bus) -> None:
    handler = Handler()
    async with bus.caller() as caller:
        call = await caller.submit(make_job(deadline_ms=now_ms() + 50))
        field = make_job()
        server.do("XADD", STD, "*", "data", field.model_dump_json(), "deadline", now_ms() - 1)
        await asyncio.sleep(0.1)
        async with serve(bus, handler):
            assert (await call.outcome()).status == "expired"
            assert (await eventually(lambda: result_of(server, field.id))).status == "expired"
    assert handler.begun == []


async def test_a_job_expires_while_it_runs(server: Server, bus: Bus) -> None:
    handler = Handler(hold=True)
    async with bus.caller() as caller, serve(bus, handler):
        begun = time.monotonic()
        outcome = await (await caller.submit(make_job(deadline_ms=now_ms() + 700))).outcome()
        took_s = time.monotonic() - begun
    assert outcome.status == "expired"
    assert handler.begun == [outcome.id]
    assert 0.6 < took_s < 3


async def test_far_deadlines_and_absurd_ones_do_no_harm(server: Server, bus: Bus) -> None:
    jobs = [make_job(deadline_ms=2**53), make_job(deadline_ms=2**53)]
    async with serve(bus, Handler()):
        for job in jobs:
            server.do("XADD", STD, "*", "data", job.model_dump_json(), "deadline", 2**53)
        absurd = make_job().model_dump_json().replace('"deadline_ms":null', f'"deadline_ms":{10**400}')
        server.do("XADD", STD, "*", "id", "absurd", "data", absurd)
        for job in jobs:
            assert (await found(server, job.id)).status == "completed"
        await eventually(lambda: server.do("XLEN", "jobs:{transcribe}:dead") == 1)


async def found(server: Server, job_id: str) -> Outcome:
    return await eventually(lambda: result_of(server, job_id))


async def test_a_queued_job_can_be_cancelled(server: Server, bus: Bus) -> None:
    handler = Handler()
    async with bus.caller() as caller:
        kept, dropped = await caller.submit(make_job()), await caller.submit(make_job())
        await dropped.cancel()
        await dropped.cancel()
        async with serve(bus, handler):
            assert (await dropped.outcome()).status == "cancelled"
            assert (await kept.outcome()).status == "completed"
    assert handler.begun == [kept.job_id]


async def test_a_running_job_can_be_cancelled(server: Server, bus: Bus) -> None:
    handler = Handler(hold=True)
    async with bus.caller() as caller, serve(bus, handler):
        call = await caller.submit(make_job())
        await eventually(lambda: handler.begun)
        begun = time.monotonic()
        await call.cancel()
        assert (await call.outcome()).status == "cancelled"
        assert time.monotonic() - begun < 1.5, "told at once, not at the next renewal"
        assert server.do("ZCARD", "cancelled:{transcribe}") == 0


async def test_cancelling_what_has_ended_changes_nothing(server: Server, bus: Bus) -> None:
    async with bus.caller() as caller, serve(bus, Handler()):
        call = await caller.submit(make_job())
        outcome = await call.outcome()
        assert not await caller.cancel("transcribe", call.job_id)
        assert result_of(server, call.job_id) == outcome
        assert server.do("EXISTS", "cancelled:{transcribe}") == 0


async def test_any_program_can_put_a_job_and_read_the_reply(server: Server, bus: Bus) -> None:
    """With `redis-cli` where it is installed, else with the same words on the socket."""
    data = orjson.dumps({"id": "from-shell", "audio": {"uri": "redis:x"}, "model": "whisper-1"})
    add = ["XADD", STD, "*", "data", data.decode(), "reply", "shell"]
    if cli := shutil.which("redis-cli"):
        subprocess.run([cli, *server.cli, *add], check=True, capture_output=True)
    else:
        server.do(*add)
    async with serve(bus, Handler()):
        entries = await eventually(lambda: server.do("XRANGE", "replies:{transcribe}:shell", "-", "+"))
    reply = entries[0][1]
    fields = reply if isinstance(reply, dict) else dict(zip(reply[::2], reply[1::2], strict=True))
    assert fields[b"id"] == b"from-shell"
    outcome = orjson.loads(fields[b"data"])
    assert (outcome["id"], outcome["status"], outcome["result"]) == ("from-shell", "completed", {"text": "done"})


async def test_the_state_of_a_lane_is_told(server: Server, bus: Bus) -> None:
    handler = Handler(hold=True)
    async with bus.caller() as caller, serve(bus, handler, concurrency=2):
        for _ in range(5):
            await caller.submit(make_job())
        await eventually(lambda: len(handler.begun) == 2)
        lane = (await bus.lanes())["transcribe"]
        assert (lane.workers, lane.waiting, lane.pending, lane.delayed, lane.dead) == (1, 3, 2, 0, 0)
        handler.release.set()
    assert (await bus.lanes())["transcribe"].workers == 0


async def test_a_lane_is_attended_for_a_while_after_its_last_worker(server: Server, bus: Bus) -> None:
    assert not await bus.attended("transcribe")
    async with serve(bus, Handler()):
        assert await bus.attended("transcribe")
    # A worker that restarts is not missed by those who wait.
    assert await bus.attended("transcribe")
    assert 0 < server.do("TTL", "attended:{transcribe}") <= 60


async def test_a_lost_reply_is_made_up_for_by_the_stored_result(server: Server, bus: Bus) -> None:
    handler = Handler(hold=True)
    async with bus.caller() as caller, serve(bus, handler):
        call = await caller.submit(make_job())
        await eventually(lambda: handler.begun)
        waiting = asyncio.create_task(call.outcome())
        outcome = orjson.dumps({"id": call.job_id, "status": "completed"})
        server.do("SET", f"result:{{transcribe}}:{call.job_id}", outcome, "EX", 60)
        assert (await asyncio.wait_for(waiting, 10)).status == "completed"
        handler.release.set()
