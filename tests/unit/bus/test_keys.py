"""All keys that one script touches lie in one slot, so that a cluster runs it."""

from __future__ import annotations

import asyncio
import contextlib
from binascii import crc_hqx
from datetime import timedelta
from typing import Any, ClassVar, cast, get_args

import pytest

from antiphon.bus.allowances import Allowances, Limits
from antiphon.bus.attempts import Attempt, Running
from antiphon.bus.caller import Caller
from antiphon.bus.clock import ServerClock
from antiphon.bus.dead import DeadLetter, DeadLetters
from antiphon.bus.deliveries import Delivery, Pace
from antiphon.bus.figures import Figures
from antiphon.bus.intake import Intake
from antiphon.bus.keeping import Keeper
from antiphon.bus.keys import LaneKeys, SessionKeys, session_wake
from antiphon.bus.output import Output
from antiphon.bus.policy import RetryPolicy
from antiphon.bus.results import ResultsReader
from antiphon.bus.scripts import SCRIPTS, Scripts
from antiphon.bus.servers import connect
from antiphon.bus.session_door import SessionDoor
from antiphon.bus.session_host import SessionHost
from antiphon.bus.sessions import SessionOutput
from antiphon.bus.settlement import Settler
from antiphon.bus.steps import Steps
from antiphon.bus.wire import Envelope
from antiphon.bus.work import Work
from antiphon.errors import Failure, Unavailable
from antiphon.schemas import PRIORITIES, BlobRef, JobRequest, Kind, Meter, TranscribeJob
from antiphon.settings import BusSettings
from antiphon.telemetry.health import Health, Pulse

pytestmark = pytest.mark.unit


def slot(key: str | bytes) -> int:
    """Return the cluster slot of a key: CRC16 (XMODEM) of its hash tag."""
    raw = key.encode() if isinstance(key, str) else key
    start = raw.find(b"{")
    end = raw.find(b"}", start + 1)
    if start >= 0 and end > start + 1:
        raw = raw[start + 1 : end]
    return crc_hqx(raw, 0) % 16384


class Recorder:
    """An outbox that notes the keys of each script and answers what lets its caller go on."""

    REPLIES: ClassVar[dict[str, Any]] = {
        "admit": [b"ok", b"1-1"],
        "allow": [b"ok", b"0", b"0", 0],
        "fill": [b"ok", b"1"],
        "append": b"written",
        "renew": [[], []],
        "reclaim": [[b"0-0"] * 3, []],
        "recall": [],
        "hold": [0, []],
        "commit": [1, 0],
    }

    def __init__(self) -> None:
        self.calls: list[tuple[str, tuple[str | bytes, ...]]] = []
        self._names = {sha: name for name, sha in _shas().items()}

    def call(self, *command: Any) -> asyncio.Future[Any]:
        future: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        if command[0] == "EVALSHA":
            name = self._names[command[1]]
            self.calls.append((name, command[3 : 3 + command[2]]))
            future.set_result(self.REPLIES.get(name, 1))
        else:
            future.set_result({} if command[0] == "HGETALL" else None)
        return future

    def call_at(self, key: str, *command: Any) -> asyncio.Future[Any]:
        return self.call(*command)

    def send(self, *command: Any) -> None:
        self.call(*command)


def _shas() -> dict[str, str]:
    from antiphon.bus import scripts

    return scripts._SHAS


@pytest.mark.parametrize("kind", get_args(Kind))
async def test_the_keys_of_every_script_share_a_slot(kind: Kind) -> None:
    recorder = Recorder()
    scripts, keys = Scripts(cast("Any", recorder)), LaneKeys(kind)
    settings = BusSettings(lease=timedelta(milliseconds=4))
    job = TranscribeJob(id="a.b:c-d_e", audio=BlobRef(uri="redis:x"), model="m", stream=True).model_copy(
        update={"kind": kind, "tenant": "{other}", "tracked": True, "parent": "{p}"}
    )
    delivery = Delivery(1, b"1-1", {b"data": b"{}", b"reply": b"me"}, 1)
    output = Output(scripts, keys, job_id=job.id, delivery=delivery, consumer="c", ttl_s=60)
    steps = Steps(scripts, keys, job=job, delivery=delivery, consumer="c", ttl_s=60)
    clock = ServerClock()
    work = Work(
        job,
        attempt=1,
        deadline_ms=None,
        priority="std",
        scripts=scripts,
        keys=keys,
        output=output,
        steps=steps,
        clock=clock,
    )
    attempt = Attempt(delivery, Envelope(b"{}", reply="me"), job, work, 1, 0)

    # Nobody listens there: what reads by itself reads nothing.
    servers = connect(BusSettings(redis_url="unix:///nowhere"))
    caller = Caller(servers, scripts, settings, "me", clock=clock, health=Health())
    await caller.publish(job, priority="bulk", idempotency_key="{x}y", request=JobRequest())
    await caller.publish(job)
    await caller.publish(job, once=True)
    await caller.publish_many(kind, [b"{}"], expires_in_s=60)
    await caller.cancel(kind, job.id)
    await work.emit("delta", b"x")
    work.begin()
    work.rest()
    await work.save_checkpoint(b"x", index=0)
    retry = RetryPolicy(settings.max_attempts, settings.backoff, settings.max_backoff)
    settler = Settler(scripts, keys, settings, "c", retry=retry, settled=None, figures=Figures(kind, slots=4, held=()))
    await settler.end(attempt, "completed", result={})
    await settler.fail(attempt, Failure("x"))
    await settler.bury_malformed(delivery, ValueError("x"))
    await settler.hand_back(attempt)
    await settler.leave()
    letter = DeadLetter("1-1", job.id, "x", 1, "hi", {b"data": b"{}"})
    await DeadLetters(scripts, kind).replay(letter)
    task = asyncio.ensure_future(asyncio.sleep(0))
    running = {(1, b"1-1"): Running(delivery, cast("Any", task), job.id, work)}
    keeper = Keeper(
        servers=servers,
        scripts=scripts,
        keys=keys,
        settings=settings,
        consumer="c",
        slots=4,
        held=running,
        pace=Pace(),
        taking=asyncio.Lock(),
        begin=lambda _: None,
        clock=clock,
        bulk_room=lambda: 1,
    )
    for step in (keeper.renew, keeper.reclaim, keeper.tend, keeper.beat):
        await step()
    await task
    intake = Intake(
        servers=servers,
        scripts=scripts,
        keys=keys,
        consumer="c",
        slots=4,
        held=running,
        begin=lambda _: None,
        release=settler.release,
        pulse=Pulse("jobs", within_s=1),
    )
    await intake.recall()
    reader = ResultsReader(
        servers,
        scripts,
        kind,
        "mine",
        group="g",
        consumer="c",
        lease=timedelta(milliseconds=4),
    )
    async with reader:
        with contextlib.suppress(Unavailable):
            await reader.read()

    pulse = Pulse("sessions", within_s=1)
    held = await SessionHost(servers, scripts, "p{q}", refresh_s=1, longest_pause_s=0, pulse=pulse).take("sess_{a}")
    await held.commit([SessionOutput("event", b"{}")], {"a": b"b", "c": None}, trim_before=b"1-1")
    held.end_for_the_door()
    await held.finish()
    line = SessionDoor(servers, scripts, "p{q}", refresh_s=1, longest_pause_s=0, pulse=pulse).open("sess_{a}")
    await line.write("event", b"{}")

    allowances = Allowances(scripts)
    meter = Meter(account="tenant/key", seconds_per_minute=60)
    await allowances.take(meter.account, Limits(requests_per_minute=1), running="r", hold_s=1)
    await allowances.charge(meter, 1.0)
    allowances.charge_job(meter, job.id, 1.0)
    allowances.occupy(meter.account, ["r"], hold_s=1)

    # Worded by the scripts that exist, so that a new one is not forgotten here.
    assert {name for name, _ in recorder.calls} >= set(_shas()) - {"take"}
    for name, used in recorder.calls:
        assert len({slot(key) for key in used}) == 1, f"{name}: {used}"
    assert len(SCRIPTS) == len(_shas())
    take = (*keys.streams, keys.cancelled, keys.control)
    assert len({slot(key) for key in take}) == 1


def test_the_keys_of_all_live_sessions_share_a_slot() -> None:
    names = [session_wake("p{q}"), session_wake("r")]
    for session in (SessionKeys("sess_a"), SessionKeys("{other}")):
        names += [session.input, session.output, session.state, session.pen]
    assert len({slot(name) for name in names}) == 1
    assert len(names) == len(set(names))


def test_the_slot_function_is_that_of_the_cluster_specification() -> None:
    assert slot("123456789") == 0x31C3
    assert slot("{user1000}.following") == slot("{user1000}.followers")


def test_no_two_kinds_of_key_have_the_same_name() -> None:
    keys = LaneKeys("transcribe")
    names = [
        *keys.streams,
        keys.delayed,
        keys.dead,
        keys.cancelled,
        keys.control,
        keys.workers,
        keys.tended,
        keys.attended,
        keys.result("x"),
        keys.output("x"),
        keys.fence("x"),
        keys.checkpoint("x"),
        keys.replies("x"),
        keys.idempotency("x", "y"),
        keys.once("x"),
        keys.events,
        keys.record("x"),
        keys.listing("x"),
        keys.batch("x"),
        keys.batches("x"),
        *(keys.promised(priority) for priority in PRIORITIES),
    ]
    assert len(names) == len(set(names))
