"""Live sessions: what goes in at the door comes to the worker, and what the worker commits comes out, exactly once."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from antiphon.bus import Bus, SessionDoor, SessionHost, SessionInput, SessionLost, SessionOutput
from antiphon.errors import Unavailable
from tests.eventually import eventually
from tests.integration.bus.conftest import make_settings
from tests.servers import Server

pytestmark = pytest.mark.integration

IN, OUT, STATE, PEN = (f"session:{{realtime}}:sess_a:{part}" for part in ("in", "out", "state", "pen"))


@pytest_asyncio.fixture
async def door(bus: Bus) -> AsyncIterator[SessionDoor]:
    async with bus.session_door() as door:
        yield door


@pytest_asyncio.fixture
async def host(bus: Bus) -> AsyncIterator[SessionHost]:
    async with bus.session_host() as host:
        yield host


def event(text: str, audio: bytes = b"") -> SessionOutput:
    return SessionOutput("event", text.encode(), audio)


async def inputs(held, count: int) -> list[SessionInput]:  # type: ignore[no-untyped-def]
    found: list[SessionInput] = []
    async with asyncio.timeout(15):
        while len(found) < count:
            found += await held.read()
    return found


async def outputs(line, count: int) -> list[SessionOutput]:  # type: ignore[no-untyped-def]
    found: list[SessionOutput] = []
    async with asyncio.timeout(15):
        while len(found) < count:
            found += await line.read()
    return found


async def test_what_is_written_at_the_door_comes_to_the_worker_in_order(door: SessionDoor, host: SessionHost) -> None:
    line, held = door.open("sess_a"), await host.take("sess_a")
    held.follow(b"0-0")
    sound = bytes(range(256)) * 8
    await line.write("event", b'{"type":"session.update"}')
    for i in range(300):
        await line.write("audio", sound + b"%d" % i)
    await line.write("refused", b"{}")
    await line.close("bye")
    found = await inputs(held, 303)
    assert [item.kind for item in found] == ["event", *["audio"] * 300, "refused", "left"]
    assert [item.data for item in found[1:301]] == [sound + b"%d" % i for i in range(300)]
    assert found[-1].data == b"bye"
    await held.finish()


async def test_what_the_worker_commits_comes_to_the_door_in_order(door: SessionDoor, host: SessionHost) -> None:
    line, held = door.open("sess_a"), await host.take("sess_a")
    sound = bytes(range(256))
    for i in range(100):
        await held.commit([event(f"{i}"), event("delta", sound)], {})
    await held.commit([SessionOutput("close", b"{}")], {})
    found = await outputs(line, 201)
    assert [item.data for item in found[:200:2]] == [b"%d" % i for i in range(100)]
    assert {item.audio for item in found[1:200:2]} == {sound}
    assert found[-1].kind == "close"
    await line.close("")
    await held.finish()


async def test_a_successor_finds_what_was_kept_and_only_that(host: SessionHost) -> None:
    first = await host.take("sess_a")
    assert first.snapshot == {}
    await first.commit([], {"items": b"\x00\xff\r\n", "old": b"1", "": b"nameless"})
    await first.commit([event("x")], {"old": None, "new": b""})
    second = await host.take("sess_a")
    assert second.snapshot == {"items": b"\x00\xff\r\n", "new": b"", "": b"nameless"}
    assert not second.over
    await second.finish()


async def test_who_has_lost_the_pen_writes_nothing_more(server: Server, host: SessionHost) -> None:
    first = await host.take("sess_a")
    await first.commit([event("of the first")], {"by": b"first"})
    second = await host.take("sess_a")
    before = server.do("XLEN", OUT)
    with pytest.raises(SessionLost):
        await first.commit([event("too late")], {"by": b"late"}, trim_before=b"9-9")
    with pytest.raises(SessionLost):
        await first.finish()
    assert server.do("XLEN", OUT) == before
    assert server.do("HGET", STATE, "by") == b"first"
    await second.commit([event("of the second")], {})
    await second.finish()


async def test_a_commit_whose_reply_was_lost_is_not_written_twice(server: Server, bus: Bus, host: SessionHost) -> None:
    held = await host.take("sess_a")
    names, token = (PEN, OUT, IN, STATE), held._token
    await held.commit([event("one")], {"n": b"1"})
    args = (token, 2, 600, "", 1, 1, "event", b"two", b"", "n", b"2")
    assert list(await bus.scripts.run("commit", names, *args)) == [1, 2]
    assert list(await bus.scripts.run("commit", names, *args)) == [2, 2]
    assert server.do("XLEN", OUT) == 2
    await held.finish()


async def test_input_stays_until_a_commit_says_that_it_is_done_with(
    server: Server, door: SessionDoor, host: SessionHost
) -> None:
    line, held = door.open("sess_a"), await host.take("sess_a")
    held.follow(b"0-0")
    for i in range(200):
        await line.write("audio", b"%d" % i)
    found = await inputs(held, 200)
    again = await held.recall(found[10].entry, found[190].entry)
    assert again == found[10:191]
    await held.commit([], {}, trim_before=found[150].entry)
    assert server.do("XLEN", IN) == 50
    assert await held.recall(found[0].entry, found[151].entry) == found[150:152]
    successor = await host.take("sess_a")
    successor.follow(found[197].entry)
    assert await inputs(successor, 2) == found[198:]
    await line.close("")
    await successor.finish()


async def test_who_begins_to_read_anew_misses_nothing_and_reads_nothing_twice(
    door: SessionDoor, host: SessionHost
) -> None:
    line, held = door.open("sess_a"), await host.take("sess_a")

    async def speak() -> None:
        for i in range(400):
            await line.write("audio", b"%d" % i)
            await asyncio.sleep(0.002)

    speaking = asyncio.create_task(speak())
    for _ in range(20):
        held.follow(b"0-0")
        found = await inputs(held, 5)
        assert [item.data for item in found] == [b"%d" % i for i in range(len(found))]
    held.follow(b"0-0")
    assert [item.data for item in await inputs(held, 400)] == [b"%d" % i for i in range(400)]
    await speaking
    await line.close("")
    await held.finish()


async def test_output_that_was_sent_is_deleted(server: Server, door: SessionDoor, host: SessionHost) -> None:
    line, held = door.open("sess_a"), await host.take("sess_a")
    for i in range(300):
        await held.commit([event(f"{i}")], {})
    assert held.unsent == 300
    for item in await outputs(line, 300):
        line.sent(item.entry)
    await eventually(lambda: server.do("XLEN", OUT) <= 50)
    await held.commit([event("more")], {})
    assert held.unsent <= 51
    await line.close("")
    await held.finish()


async def test_a_slow_consumer_stops_nobody_else_and_loses_nothing(door: SessionDoor, host: SessionHost) -> None:
    slow, quick = await host.take("sess_a"), await host.take("sess_b")
    slow.follow(b"0-0")
    quick.follow(b"0-0")
    lines = door.open("sess_a"), door.open("sess_b")
    for i in range(1000):
        await lines[0].write("audio", b"%d" % i)
    for i in range(20):
        await lines[1].write("audio", b"%d" % i)
        assert [item.data for item in await inputs(quick, 1)] == [b"%d" % i]
    assert slow._channel is not None
    assert len(slow._channel._entries) < 300, "the rest waits in Redis"
    assert [item.data for item in await inputs(slow, 1000)] == [b"%d" % i for i in range(1000)]
    for line, held in zip(lines, (slow, quick), strict=True):
        await line.close("")
        await held.finish()


async def test_a_door_waits_while_the_server_does_not_take_what_it_writes(own_server: Server) -> None:
    async with Bus.open(make_settings(own_server)) as bus, bus.session_door() as door:
        line = door.open("sess_a")
        await line.write("audio", b"first")
        own_server.suspend()
        written = 0

        async def flood() -> None:
            nonlocal written
            for _ in range(200):
                await line.write("audio", b"x")
                written += 1

        flooding = asyncio.create_task(flood())
        await asyncio.sleep(0.3)
        assert written == 64
        own_server.resume()
        await asyncio.wait_for(flooding, 10)
        await line.close("")
        assert own_server.do("XLEN", IN) == 202


async def test_both_ends_go_on_where_they_were_when_the_server_comes_back(own_server: Server) -> None:
    settings = make_settings(own_server)
    async with Bus.open(settings) as bus, bus.session_door() as door, bus.session_host() as host:
        line, held = door.open("sess_a"), await host.take("sess_a")
        held.follow(b"0-0")
        count = 150

        async def speak() -> None:
            for i in range(count):
                await line.write("audio", b"%d" % i)
                await asyncio.sleep(0.01)

        async def answer() -> None:
            n = 0
            while n < count:
                for item in await held.read():
                    await held.commit([event(item.data.decode())], {"at": item.entry})
                    n += 1

        tasks = [asyncio.create_task(speak()), asyncio.create_task(answer())]
        reading = asyncio.create_task(outputs(line, count))
        await asyncio.sleep(0.4)
        own_server.kill()
        await asyncio.sleep(0.5)
        own_server.start()
        found = await reading
        await asyncio.gather(*tasks)
        assert [item.data for item in found] == [b"%d" % i for i in range(count)]
        await line.close("")
        await held.finish()


async def test_a_full_server_takes_a_step_whole_or_not_at_all(own_server: Server) -> None:
    settings = make_settings(own_server)
    async with Bus.open(settings) as bus, bus.session_door() as door, bus.session_host() as host:
        line, held = door.open("sess_a"), await host.take("sess_a")
        held.follow(b"0-0")
        await line.write("audio", b"x")
        (said,) = await inputs(held, 1)
        await held.commit([event("before")], {"n": b"1"})
        own_server.limit_memory(1)
        commit = asyncio.create_task(held.commit([event("refused at first")], {"n": b"2"}))
        await asyncio.sleep(0.3)
        assert own_server.do("XLEN", OUT) == 1
        assert own_server.do("HGET", STATE, "n") == b"1"
        own_server.limit_memory(0)
        await asyncio.wait_for(commit, 10)
        own_server.limit_memory(1)
        # What makes room is let through, and a session that lives can be taken over.
        await held.commit([event("done with some input")], {"n": b"3"}, trim_before=said.entry)
        held = await host.take("sess_a")
        assert held.snapshot == {"n": b"3"}
        with pytest.raises(Unavailable):
            await line.write("audio", b"y")
            await line.close("")
        await held.finish()
        own_server.limit_memory(0)
        assert own_server.do("XLEN", OUT) == 3
        assert own_server.leaks() == []


async def test_a_finished_session_leaves_nothing_behind_and_is_not_begun_again(
    server: Server, door: SessionDoor, host: SessionHost
) -> None:
    line, held = door.open("sess_a"), await host.take("sess_a")
    await line.write("event", b"{}")
    await held.commit([event("bye"), SessionOutput("close", b"{}")], {"n": b"1"})
    await held.finish()
    await held.finish()
    assert server.do("EXISTS", IN, STATE) == 0
    assert 0 < server.do("TTL", OUT) <= 60
    # What the client sends meanwhile does not bring it back.
    for _ in range(3):
        await line.write("audio", b"x")
    assert [item.kind for item in await outputs(line, 2)] == ["event", "close"]
    await line.close("")
    assert server.do("EXISTS", IN) == 0
    again = await host.take("sess_a")
    assert again.over
    again.release()


async def test_a_session_that_is_lost_with_the_server_s_memory_ends_at_the_door(
    server: Server, door: SessionDoor, host: SessionHost
) -> None:
    line, held = door.open("sess_a"), await host.take("sess_a")
    await line.write("audio", b"x")
    reading = asyncio.create_task(line.read())
    server.do("FLUSHALL")

    async def refused() -> bool:
        try:
            await line.write("audio", b"x")
        except Unavailable:
            return True
        return False

    await eventually(refused, within_s=10)
    with pytest.raises(Unavailable):
        await reading
    with pytest.raises(SessionLost):
        await held.commit([event("x")], {})


async def test_every_key_has_a_life_span_which_both_ends_lengthen(server: Server, bus: Bus) -> None:
    async with bus.session_door(refresh_s=0.2) as door, bus.session_host(refresh_s=0.2) as host:
        line, held = door.open("sess_a"), await host.take("sess_a")
        await line.write("audio", b"x")
        await held.commit([event("x")], {"n": b"1"})
        assert server.leaks() == []
        for key in (IN, OUT, STATE, PEN):
            assert 500 < server.do("TTL", key) <= 600
            server.do("EXPIRE", key, 599 if key == IN else 300)
        await eventually(lambda: all(server.do("TTL", key) > 599 for key in (IN, OUT, STATE, PEN)))
        await line.close("")
        await held.finish()


async def test_a_session_whose_door_has_died_is_told_that_its_client_left(server: Server, bus: Bus) -> None:
    async with bus.session_host(refresh_s=1.0) as host:
        silent, spoken = await host.take("sess_a"), await host.take("sess_b")
        async with Bus.open(bus.settings) as other, other.session_door(refresh_s=1.0) as door:
            await door.open("sess_b").write("audio", b"x")
        silent.follow(b"0-0")
        spoken.follow(b"0-0")
        # No door has ever written the one, that of the other is gone.
        assert [item.kind for item in await inputs(silent, 1)] == ["left"]
        assert [item.kind for item in await inputs(spoken, 2)] == ["audio", "left"]
        await silent.finish()
        await spoken.finish()


async def test_a_large_append_comes_in_pieces(door: SessionDoor, host: SessionHost) -> None:
    line, held = door.open("sess_a"), await host.take("sess_a")
    held.follow(b"0-0")
    sound = bytes(range(256)) * 4096 * 3
    await line.write("audio", sound)
    await line.close("")
    found: list[SessionInput] = []
    while not found or found[-1].kind != "left":
        found += await inputs(held, 1)
    assert b"".join(item.data for item in found[:-1]) == sound
    assert max(len(item.data) for item in found) <= 256 * 1024
    await held.finish()


async def test_many_sessions_share_a_read(server: Server, door: SessionDoor, host: SessionHost) -> None:
    lines = [door.open(f"sess_{i}") for i in range(40)]
    helds = [await host.take(f"sess_{i}") for i in range(40)]
    for held in helds:
        held.follow(b"0-0")
    server.do("CONFIG", "RESETSTAT")
    for n in range(10):
        for line in lines:
            await line.write("audio", b"%d" % n)
        await asyncio.sleep(0.02)
    for line in lines:
        await line.close("")
    for held in helds:
        found = await inputs(held, 11)
        assert [item.data for item in found[:10]] == [b"%d" % n for n in range(10)]
    assert server.commands()["xread"] < 100, "of 440 entries"
    for held in helds:
        await held.finish()


async def test_a_bus_that_stays_away_is_told_to_both_ends(own_server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    from antiphon.bus import session_reading, session_writing

    monkeypatch.setattr(session_reading, "PATIENCE_S", 0.5)
    monkeypatch.setattr(session_writing, "PATIENCE_S", 0.5)
    settings = make_settings(own_server)
    async with Bus.open(settings) as bus, bus.session_door() as door, bus.session_host() as host:
        line, held = door.open("sess_a"), await host.take("sess_a")
        held.follow(b"0-0")
        await line.write("audio", b"x")
        await inputs(held, 1)
        own_server.kill()
        await line.write("audio", b"y")
        for reading in (line.read(), held.read()):
            with pytest.raises(Unavailable):
                await asyncio.wait_for(reading, 10)
        with pytest.raises(Unavailable):
            await line.close("")
        own_server.start()
