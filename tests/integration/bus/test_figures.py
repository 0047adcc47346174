"""What a worker counts of its jobs."""

from __future__ import annotations

import asyncio
from datetime import timedelta

import pytest
from prometheus_client import REGISTRY

from antiphon.bus import Bus, GivenUp, Postponed, Work
from antiphon.errors import Failure, InvalidAudio
from antiphon.schemas import Job, Schema, TranscribeJob
from tests.eventually import eventually
from tests.integration.bus.conftest import STD, Handler, make_job, make_settings
from tests.servers import Server

pytestmark = pytest.mark.integration


def value(name: str, **labels: str) -> float:
    return REGISTRY.get_sample_value(name, {"lane": "transcribe", **labels}) or 0.0


class Counts:
    """How much has been counted since it was made."""

    def __init__(self) -> None:
        self._before = self._all()

    def since(self) -> dict[str, float]:
        now = self._all()
        return {name: now[name] - self._before.get(name, 0.0) for name in now if now[name] != self._before.get(name)}

    @staticmethod
    def _all() -> dict[str, float]:
        found = {f"job {each}": value("antiphon_jobs_total", status=each) for each in STATUSES}
        found |= {f"attempt {each}": value("antiphon_job_attempts_total", end=each) for each in ENDS}
        for name in ("dead_letters", "leases_lost", "jobs_taken_over"):
            found[name] = value(f"antiphon_{name}_total")
        for name in ("job_seconds", "first_output_seconds"):
            found[name] = value(f"antiphon_{name}_count")
        found["waits"] = sum(value("antiphon_job_wait_seconds_count", priority=each) for each in ("hi", "std", "bulk"))
        return found


STATUSES = ("succeeded", "failed", "cancelled", "expired")
ENDS = ("settled", "retried", "postponed", "handed_back", "lost", "malformed")


async def by_metadata(job: Job, work: Work) -> Schema:
    match job.metadata.get("do"):
        case "retry" if work.attempt == 1:
            raise Failure("once")
        case "postpone" if not postponed:
            postponed.append(job.id)
            raise Postponed(0.01)
        case "give up":
            raise GivenUp(Failure("for good"))
        case "refuse":
            raise InvalidAudio("It is not audio.")
        case "show":
            await work.progress(1, 2)
            await work.emit("delta", b"a")
            await work.emit("delta", b"b")
    return Schema()


postponed: list[str] = []


async def test_every_attempt_is_counted_by_how_it_ended(server: Server) -> None:
    postponed.clear()
    counts = Counts()
    async with (
        Bus.open(make_settings(server)) as bus,
        bus.caller() as caller,
        bus.serve("transcribe", TranscribeJob, by_metadata, concurrency=4),
    ):
        for do in ("nothing", "retry", "postpone", "give up", "refuse"):
            await (await caller.submit(make_job(metadata={"do": do}))).outcome()
        await (await caller.submit(make_job(metadata={"do": "show"}, stream=True))).outcome()
        expired = await caller.submit(make_job(deadline_ms=1))
        await expired.outcome()
        server.do("XADD", STD, "*", "data", "no job at all")
        await eventually(lambda: counts.since().get("attempt malformed"))
        assert value("antiphon_job_slots") == 4
        await eventually(lambda: value("antiphon_jobs_in_flight") == 0)
    assert counts.since() == {
        "job succeeded": 4,
        "job failed": 3,
        "job expired": 1,
        "attempt settled": 7,
        "attempt retried": 1,
        "attempt postponed": 1,
        "attempt malformed": 1,
        "dead_letters": 2,
        "job_seconds": 10,
        "first_output_seconds": 1,
        "waits": 10,
    }
    assert value("antiphon_job_slots") == 0


async def test_a_job_that_changes_hands_is_lost_to_one_and_taken_over_by_the_other(server: Server) -> None:
    settings = make_settings(server, drain=timedelta(0))
    stays, leaves = Handler(hold=True), Handler(hold=True)
    counts = Counts()
    async with Bus.open(settings) as bus, bus.caller() as caller:
        async with bus.serve("transcribe", TranscribeJob, leaves, concurrency=1):
            call = await caller.submit(make_job())
            await eventually(lambda: leaves.begun)
            assert value("antiphon_jobs_in_flight") == 1
        assert counts.since()["attempt handed_back"] == 1
        async with bus.serve("transcribe", TranscribeJob, stays, concurrency=1):
            await eventually(lambda: stays.begun)
            entry = server.do("XRANGE", STD, "-", "+", "COUNT", 1)[0][0]
            server.do("XCLAIM", STD, "workers", "thief", 0, entry, "RETRYCOUNT", 0)
            await eventually(lambda: counts.since().get("leases_lost"))
            assert counts.since()["attempt lost"] == 1
            server.do("XCLAIM", STD, "workers", "thief", 0, entry, "IDLE", 60_000, "RETRYCOUNT", 0)
            stays.release.set()
            await asyncio.wait_for(call.outcome(), 20)
    assert counts.since()["jobs_taken_over"] == 2
    assert counts.since()["waits"] == 1, "only who was the first to take it knows how long it waited"
