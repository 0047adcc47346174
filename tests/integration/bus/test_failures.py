"""A job that fails is tried again, then given up; nothing stays pending for ever."""

from __future__ import annotations

import asyncio
import time
from typing import Any

import orjson
import pytest

from antiphon.bus import Bus
from antiphon.errors import Failure, InvalidAudio, Unavailable
from tests.chaos.fleet import WORKER, fleet
from tests.eventually import eventually
from tests.integration.bus.conftest import STD, Handler, make_job, make_settings, pending, result_of, serve
from tests.servers import Server

pytestmark = pytest.mark.integration


async def test_a_raising_handler_is_retried_with_backoff_and_then_given_up(server: Server, bus: Bus) -> None:
    handler = Handler(error=RuntimeError("no"))
    async with bus.caller() as caller, serve(bus, handler):
        outcome = await (await caller.submit(make_job())).outcome()
        letters = [letter async for letter in bus.dead_letters("transcribe").list()]
    assert (outcome.status, outcome.attempts) == ("failed", 3)
    assert handler.attempts == [1, 2, 3]
    assert outcome.error is not None
    assert "no" not in outcome.error.message, "what went wrong inside is not the caller's to read"
    assert pending(server) == 0
    assert [(letter.job_id, letter.attempts) for letter in letters] == [(outcome.id, 3)]


async def test_a_failing_job_is_not_redelivered_without_limit(server: Server, bus: Bus) -> None:
    handler = Handler(error=Failure("never"))
    async with bus.caller() as caller, serve(bus, handler):
        await (await caller.submit(make_job())).outcome()
        settled = server.commands()["xreadgroup"]
        await eventually(lambda: server.commands()["xreadgroup"] > settled)
        await asyncio.sleep(1.0)
        assert handler.attempts == [1, 2, 3]
        assert server.do("ZCARD", "jobs:{transcribe}:delayed") == 0


@pytest.mark.parametrize("error", [FileNotFoundError("model"), TimeoutError(), ConnectionRefusedError()])
async def test_a_handlers_own_trouble_with_the_system_backs_off_like_any_other(
    server: Server, bus: Bus, error: Exception
) -> None:
    handler = Handler(error=error)
    async with bus.caller() as caller, serve(bus, handler):
        outcome = await (await caller.submit(make_job())).outcome()
    assert handler.attempts == [1, 2, 3]
    assert outcome.error is not None
    assert type(error).__name__ in outcome.error.message
    assert server.commands()["zadd"] == 2, "each retry was put aside for its backoff"


async def test_a_callers_own_mistake_ends_the_job_at_once_and_leaves_no_letter(server: Server, bus: Bus) -> None:
    handler = Handler(error=InvalidAudio("This is no audio."))
    async with bus.caller() as caller, serve(bus, handler):
        outcome = await (await caller.submit(make_job())).outcome()
    assert outcome.status == "failed"
    assert outcome.error is not None
    assert outcome.error.http_status == 400
    assert handler.attempts == [1]
    assert server.do("XLEN", "jobs:{transcribe}:dead") == 0


async def test_a_retry_waits_as_long_as_the_error_asks(server: Server, bus: Bus) -> None:
    class Flaky(Handler):
        async def __call__(self, job, work):  # type: ignore[no-untyped-def]
            if work.attempt == 1:
                raise Unavailable("later", retry_after_s=1.2)
            return await super().__call__(job, work)

    begun = time.monotonic()
    async with bus.caller() as caller, serve(bus, Flaky()):
        outcome = await (await caller.submit(make_job())).outcome()
    assert (outcome.status, outcome.attempts) == ("completed", 2)
    assert time.monotonic() - begun >= 1.2


MALFORMED: list[dict[str, bytes]] = [
    {"data": b"not json"},
    {"foo": b"bar"},
    {"data": b"\xff\xfe\x00"},
    {"data": b'{"id":"a","kind":"transcribe"}'},
    {"data": b'{"kind":"synthesize","text":"x","model":"m","voice":"v"}'},
    {"data": b"[]", "id": b"has a space"},
    {"data": make_job().model_dump_json().encode(), "id": b"\xff"},
    {"data": make_job().model_dump_json().encode(), "reply": b"no {braces}"},
    {"data": make_job().model_dump_json().encode(), "deadline": b"tomorrow"},
    {"data": make_job().model_dump_json().encode(), "attempt": b"-1000000"},
    {"__data__": b"\x89BIN\r\n\x1a\n\x00\x01broken"},
    {"data": b"[" * 100_000},
    {f"f{i}": b"x" for i in range(1000)},
]


async def test_entries_that_hold_no_job_are_buried_with_their_fields(server: Server, bus: Bus) -> None:
    for fields in MALFORMED:
        server.do("XADD", STD, "*", *[part for pair in fields.items() for part in pair])
    async with serve(bus, Handler()):
        await eventually(lambda: server.do("XLEN", "jobs:{transcribe}:dead") == len(MALFORMED))
        assert pending(server) == 0
        letters = [letter async for letter in bus.dead_letters("transcribe").list()]
    for fields, letter in zip(MALFORMED, letters, strict=True):
        for name, value in list(fields.items())[:40]:
            if name != "id":
                assert letter.fields.get(name.encode(), b"") == (b"" if name == "attempt" else value)


async def test_fields_that_are_not_ours_do_no_harm(server: Server, bus: Bus) -> None:
    job = make_job()
    server.do("XADD", STD, "*", "headers", '{"traceparent":1}', "junk", b"\xff\xfe", "data", job.model_dump_json())
    async with serve(bus, Handler()):
        assert (await eventually(lambda: result_of(server, job.id))).status == "completed"


async def test_a_job_without_an_id_keeps_one_over_its_attempts(server: Server, bus: Bus) -> None:
    seen: list[str] = []

    class Flaky(Handler):
        async def __call__(self, job, work):  # type: ignore[no-untyped-def]
            seen.append(job.id)
            if work.attempt < 3:
                raise Failure("again")
            return await super().__call__(job, work)

    data = orjson.dumps({"audio": {"uri": "redis:x"}, "model": "whisper-1"})
    server.do("XADD", "jobs:{transcribe}:hi", "100-1", "data", data)
    server.do("XADD", STD, "100-1", "data", data)
    server.do("XADD", STD, "100-2", "data", data, "id", "mine")
    async with serve(bus, Flaky()):
        await eventually(lambda: len(seen) == 9)
        assert (await eventually(lambda: result_of(server, "mine"))).status == "completed"
        assert (await eventually(lambda: result_of(server, "entry_std_100-1"))).status == "completed"
        assert (await eventually(lambda: result_of(server, "entry_hi_100-1"))).status == "completed"
    assert set(seen) == {"mine", "entry_std_100-1", "entry_hi_100-1"}


async def test_a_job_that_kills_its_worker_is_given_up_after_its_attempts(server: Server) -> None:
    crash, fine = make_job(metadata={"do": "crash"}), make_job()
    settings = make_settings(server)
    async with (
        fleet(server.url, WORKER, attempts=3, concurrency=1) as workers,
        Bus.open(settings) as bus,
        bus.caller() as caller,
    ):
        call = await caller.submit(crash)
        other = await caller.submit(fine)
        outcome = await _with(workers, call.outcome())
        assert (await _with(workers, other.outcome())).status == "completed"
    assert outcome.status == "failed"
    assert server.do("GET", f"exec:{crash.id}") == b"3"
    assert server.do("XLEN", "jobs:{transcribe}:dead") == 1


async def _with(workers: Any, waited: Any) -> Any:
    """Wait, starting workers again that have died."""
    task = asyncio.ensure_future(waited)
    while not task.done():
        workers.revive()
        await asyncio.wait([task], timeout=0.1)
    return task.result()


async def test_dead_letters_can_be_read_replayed_and_purged(server: Server, bus: Bus) -> None:
    handler = Handler(error=Failure("down"))
    letters = bus.dead_letters("transcribe")
    async with bus.caller() as caller, serve(bus, handler):
        calls = [await caller.submit(make_job(), priority="bulk") for _ in range(3)]
        for call in calls:
            assert (await call.outcome()).status == "failed"
        first, *_ = [letter async for letter in letters.list()]
        assert first.priority == "bulk"
        handler.error = None
        assert await letters.replay(first)
        assert (await eventually(lambda: _completed(server, first.job_id))).attempts == 1
        rest = [letter async for letter in letters.list()]
        assert len(rest) == 2
        assert await letters.purge() == 2
        assert [letter async for letter in letters.list()] == []


def _completed(server: Server, job_id: str) -> Any:
    found = result_of(server, job_id)
    return found if found is not None and found.status == "completed" else None
