"""A live session outlives the worker that holds it: nothing is lost, doubled or out of order, and it is soon over."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import os
import signal
import sys
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from antiphon.bus import Bus, SessionLine
from antiphon.schemas import RealtimeJob
from tests.eventually import eventually
from tests.integration.bus.conftest import make_settings
from tests.servers import Server

pytestmark = pytest.mark.integration

SCRIPT = Path(__file__).with_name("session_worker.py")
SESSIONS = 3


@contextlib.asynccontextmanager
async def session_worker(server: Server) -> AsyncIterator[asyncio.subprocess.Process]:
    process = await asyncio.create_subprocess_exec(
        sys.executable, SCRIPT, server.url, stdout=asyncio.subprocess.PIPE, cwd=SCRIPT.parents[3]
    )
    assert process.stdout is not None
    try:
        assert await asyncio.wait_for(process.stdout.readline(), 30) == b"ready\n"
        yield process
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        await process.wait()


class Client:
    """Speaks in one session and notes what it hears, when and from which process."""

    def __init__(self, line: SessionLine) -> None:
        self.line = line
        self.heard: list[tuple[float, list[str]]] = []
        self.spoken = 0
        self.closed = False
        self.leaving = False

    async def speak(self) -> None:
        while not self.leaving:
            await self.line.write("audio", b"%d" % self.spoken)
            self.spoken += 1
            await asyncio.sleep(0.01)
        await self.line.write("left", b"done")

    async def hear(self) -> None:
        while not self.closed:
            for item in await self.line.read():
                self.line.sent(item.entry)
                if item.kind == "close":
                    self.closed = True
                else:
                    self.heard.append((time.monotonic(), item.data.decode().split()))

    def check_whole(self) -> None:
        """Nothing was lost, doubled or out of order."""
        said = [(int(words[0]), words[1], words[2]) for _, words in self.heard]
        spoken = [(i, "audio", str(i)) for i in range(self.spoken)]
        assert said == [*spoken, (self.spoken, "left", "done")]

    @property
    def voice(self) -> int:
        return int(self.heard[-1][1][3]) if self.heard else 0

    def gap_s(self, voice: int) -> float:
        """Return how long nothing was heard between the last word of a process and the first of its successor."""
        last = max(at for at, said in self.heard if int(said[3]) == voice)
        return min(at for at, _ in self.heard if at > last) - last


async def test_sessions_go_on_with_their_workers_when_the_server_was_away_for_longer_than_a_lease(
    own_server: Server,
) -> None:
    server = own_server
    async with contextlib.AsyncExitStack() as stack:
        bus = await stack.enter_async_context(Bus.open(make_settings(server)))
        door = await stack.enter_async_context(bus.session_door())
        caller = await stack.enter_async_context(bus.caller())
        for _ in range(2):
            await stack.enter_async_context(session_worker(server))
        clients = [Client(door.open(f"sess_{i}")) for i in range(SESSIONS)]
        for i in range(SESSIONS):
            await caller.publish(RealtimeJob(id=f"sess_{i}", session={}), priority="hi")
        async with asyncio.TaskGroup() as tasks:
            for client in clients:
                tasks.create_task(client.speak())
                tasks.create_task(client.hear())
            await eventually(lambda: all(len(client.heard) > 50 for client in clients))
            server.kill()
            await asyncio.sleep(1.5)
            server.start()
            heard = [len(client.heard) for client in clients]
            await eventually(lambda: all(len(client.heard) > n + 100 for client, n in zip(clients, heard, strict=True)))
            for client in clients:
                client.leaving = True
        for client in clients:
            client.check_whole()
        moved = sum(len({words[3] for _, words in client.heard}) - 1 for client in clients)
        gap_s = max(b[0] - a[0] for client in clients for a, b in itertools.pairwise(client.heard))
        print(f"{moved} of {SESSIONS} sessions moved; silent for {gap_s:.2f} s, of which the server was away 1.5 s")
        assert gap_s < 5


async def test_a_session_goes_on_when_its_worker_is_killed_and_when_it_is_stopped(server: Server) -> None:
    async with contextlib.AsyncExitStack() as stack:
        bus = await stack.enter_async_context(Bus.open(make_settings(server)))
        door = await stack.enter_async_context(bus.session_door())
        caller = await stack.enter_async_context(bus.caller())
        workers = {}
        for _ in range(2):
            process = await stack.enter_async_context(session_worker(server))
            workers[process.pid] = process
        clients = [Client(door.open(f"sess_{i}")) for i in range(SESSIONS)]
        for i in range(SESSIONS):
            await caller.publish(RealtimeJob(id=f"sess_{i}", session={}), priority="hi")
        async with asyncio.TaskGroup() as tasks:
            for client in clients:
                tasks.create_task(client.speak())
                tasks.create_task(client.hear())
            first = clients[0]
            await eventually(lambda: len(first.heard) > 50)
            killed = first.voice
            with_killed = [client for client in clients if client.voice == killed]
            workers[killed].kill()
            await eventually(lambda: all(client.voice != killed for client in with_killed))
            third = await stack.enter_async_context(session_worker(server))
            stopped = first.voice
            assert stopped != third.pid
            with_stopped = [client for client in clients if client.voice == stopped]
            os.kill(stopped, signal.SIGTERM)
            await eventually(lambda: all(client.voice == third.pid for client in with_stopped))
            for client in clients:
                client.leaving = True
        for client in clients:
            client.check_whole()
        after_kill = max(client.gap_s(killed) for client in with_killed)
        after_stop = max(client.gap_s(stopped) for client in with_stopped)
        print(f"silent for {after_kill:.2f} s after kill -9, {after_stop:.2f} s after SIGTERM")
        assert after_kill < 3
        assert after_stop < 2
        for i in range(SESSIONS):
            assert await eventually(lambda i=i: server.do("EXISTS", f"result:{{realtime}}:sess_{i}"))  # type: ignore[misc]
            assert server.do("EXISTS", f"session:{{realtime}}:sess_{i}:in", f"session:{{realtime}}:sess_{i}:state") == 0
