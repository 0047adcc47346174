"""The supervisor against real small processes."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import textwrap
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import psutil
import pytest

from antiphon.errors import Unavailable
from antiphon.stopping import StopRequest
from antiphon.supervisor.plan import ProcessSpec, Stage
from antiphon.supervisor.restarts import RestartPolicy
from antiphon.supervisor.supervisor import Supervisor

pytestmark = pytest.mark.integration

SOON_S = 10.0
QUICK = RestartPolicy(first_delay_s=0.01, longest_delay_s=0.05, tries_before_ready=3)

STEADY = """
    import signal, sys
    # A handler would not run for a signal that comes just before a sleep.
    signal.pthread_sigmask(signal.SIG_BLOCK, {{signal.SIGTERM}})
    print("here", flush=True)
    signal.sigwait({{signal.SIGTERM}})
    print("bye", flush=True)
    with open({diary!r}, "a") as diary:
        diary.write({name!r} + "\\n")
"""
DEAF = """
    import signal, time
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    print("here", flush=True)
    while True:
        time.sleep(60)
"""


class Theatre:
    """A supervisor under test, with what it said."""

    def __init__(self, folder: Path, *, policy: RestartPolicy = QUICK) -> None:
        self.folder = folder
        self.diary = folder / "diary"
        self.said: list[str] = []
        self.lines: list[tuple[str, str]] = []
        self.stop = StopRequest()
        self.supervisor = Supervisor(
            logs=folder, say=self.said.append, on_line=lambda *line: self.lines.append(line), policy=policy
        )

    def spec(self, name: str, program: str, *, stage: Stage = Stage.WORKERS, grace_s: float = 5.0) -> ProcessSpec:
        code = textwrap.dedent(program)
        if "{diary" in code:
            code = code.format(diary=str(self.diary), name=name)
        return ProcessSpec(
            name=name,
            command=(sys.executable, "-c", code),
            environment=dict(os.environ),
            stage=stage,
            grace_s=grace_s,
            may_be_killed=stage is not Stage.SERVER,
        )

    @asynccontextmanager
    async def running(self, *specs: ProcessSpec) -> AsyncIterator[asyncio.Task[None]]:
        """Run `specs` until the block ends; inside it each has written its first line."""
        run = asyncio.create_task(self.supervisor.run(specs, stop=self.stop))
        try:
            await until(lambda: {name for name, _ in self.lines} >= {spec.name for spec in specs} or run.done())
            yield run
        finally:
            self.stop.set()
            await asyncio.wait_for(run, SOON_S)


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(SOON_S):
        while not condition():
            await asyncio.sleep(0.01)


def is_gone(pid: int) -> bool:
    return not psutil.pid_exists(pid) or psutil.Process(pid).status() == psutil.STATUS_ZOMBIE


@pytest.fixture
def theatre(tmp_path: Path) -> Theatre:
    return Theatre(tmp_path)


async def test_the_door_stops_first_and_the_server_last(theatre: Theatre) -> None:
    async with theatre.running(
        theatre.spec("server", STEADY, stage=Stage.SERVER),
        theatre.spec("worker", STEADY, stage=Stage.WORKERS),
        theatre.spec("door", STEADY, stage=Stage.DOOR),
    ):
        pids = theatre.supervisor.pids()
    assert theatre.diary.read_text().split() == ["door", "worker", "server"]
    assert all(is_gone(pid) for pid in pids.values())


async def test_a_worker_that_is_killed_comes_back(theatre: Theatre) -> None:
    async with theatre.running(theatre.spec("worker", STEADY)):
        first = theatre.supervisor.pids()["worker"]
        os.kill(first, signal.SIGKILL)
        await until(lambda: theatre.supervisor.pids().get("worker", first) != first)
        await until(lambda: len(theatre.lines) == 2)
    assert theatre.said == [
        f"worker was killed by SIGKILL (here), log in {theatre.folder}/worker.log; starting it again in 0.01 s"
    ]


async def test_a_process_that_cannot_start_ends_the_start_with_its_own_line(theatre: Theatre) -> None:
    broken = 'import sys; print("no weights: run antiphon models pull", file=sys.stderr); sys.exit(78)'
    specs = [theatre.spec("server", STEADY, stage=Stage.SERVER), theatre.spec("transcriber", broken)]
    waiting: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    with pytest.raises(Unavailable, match=r"^transcriber cannot start: no weights: run antiphon models pull$"):
        await asyncio.wait_for(theatre.supervisor.run(specs, stop=theatre.stop, ready=lambda: waiting), SOON_S)
    assert theatre.supervisor.pids() == {}


async def test_a_process_that_keeps_dying_ends_the_start(theatre: Theatre) -> None:
    waiting: asyncio.Future[None] = asyncio.get_running_loop().create_future()
    with pytest.raises(Unavailable, match=r"^worker ended with exit code 3 \(oh\), log in "):
        await asyncio.wait_for(
            theatre.supervisor.run(
                [theatre.spec("worker", 'print("oh"); raise SystemExit(3)')], stop=theatre.stop, ready=lambda: waiting
            ),
            SOON_S,
        )
    assert len(theatre.said) == QUICK.tries_before_ready - 1


async def test_a_program_that_does_not_exist_is_named(theatre: Theatre) -> None:
    spec = ProcessSpec(name="server", command=("/nowhere",), environment={}, stage=Stage.SERVER, grace_s=1)
    with pytest.raises(Unavailable, match=r"^server cannot start: No such file or directory$"):
        await asyncio.wait_for(theatre.supervisor.run([spec], stop=theatre.stop), SOON_S)


async def test_a_failed_readiness_check_stops_what_was_started(theatre: Theatre) -> None:
    async def never() -> None:
        await until(lambda: len(theatre.lines) == 1)
        raise Unavailable("not ready")

    with pytest.raises(Unavailable, match="not ready"):
        await asyncio.wait_for(
            theatre.supervisor.run([theatre.spec("worker", STEADY)], stop=theatre.stop, ready=never), SOON_S
        )
    assert theatre.diary.read_text().split() == ["worker"]


async def test_a_second_request_does_not_wait_for_a_deaf_worker(theatre: Theatre) -> None:
    async with theatre.running(theatre.spec("worker", DEAF, grace_s=3600)) as run:
        pid = theatre.supervisor.pids()["worker"]
        theatre.stop.make()
        theatre.stop.make()
        await asyncio.wait_for(asyncio.shield(run), SOON_S)
    assert is_gone(pid)


async def test_a_deaf_worker_is_killed_when_its_grace_is_over(theatre: Theatre) -> None:
    async with theatre.running(theatre.spec("worker", DEAF, grace_s=0.2)):
        pid = theatre.supervisor.pids()["worker"]
    assert is_gone(pid)


async def test_the_server_is_not_killed_in_a_hurry(theatre: Theatre) -> None:
    slow = STEADY.replace("sys.exit(0)", "time.sleep(0.5); sys.exit(0)")
    async with theatre.running(theatre.spec("server", slow, stage=Stage.SERVER)):
        theatre.stop.make()
        theatre.stop.make()
    assert theatre.diary.read_text().split() == ["server"]
    assert theatre.lines[-1] == ("server", "bye")


async def test_what_a_worker_leaves_behind_is_ended_with_it(theatre: Theatre) -> None:
    parent = """
        import subprocess, sys, time
        child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
        print(child.pid, flush=True)
        time.sleep(600)
    """
    async with theatre.running(theatre.spec("worker", parent)):
        grandchild = int(theatre.lines[0][1])
        assert psutil.pid_exists(grandchild)
    await until(lambda: is_gone(grandchild))


async def test_no_child_outlives_a_supervisor_that_is_killed(tmp_path: Path) -> None:
    program = textwrap.dedent(
        f"""
        import asyncio, os, sys
        from pathlib import Path
        from antiphon.supervisor.plan import ProcessSpec, Stage
        from antiphon.stopping import StopRequest
        from antiphon.supervisor.supervisor import Supervisor

        code = "import os, time; print(os.getpid(), flush=True); time.sleep(600)"
        specs = [
            ProcessSpec(name=stage.name, command=(sys.executable, "-c", code), environment={{}}, stage=stage, grace_s=5)
            for stage in Stage
        ]
        supervisor = Supervisor(
            logs=Path({str(tmp_path)!r}), say=print, on_line=lambda name, line: print(line, flush=True)
        )
        asyncio.run(supervisor.run(specs, stop=StopRequest()))
        """
    )
    process = await asyncio.create_subprocess_exec(sys.executable, "-c", program, stdout=asyncio.subprocess.PIPE)
    assert process.stdout is not None
    async with asyncio.timeout(SOON_S):
        pids = [int(await process.stdout.readline()) for _ in Stage]
    assert all(psutil.pid_exists(pid) for pid in pids)
    process.kill()
    await process.wait()
    await until(lambda: all(is_gone(pid) for pid in pids))


async def test_ctrl_c_on_the_terminal_does_not_reach_a_child(theatre: Theatre) -> None:
    async with theatre.running(theatre.spec("worker", STEADY)):
        pid = theatre.supervisor.pids()["worker"]
        assert os.getsid(pid) == pid != os.getsid(0)


async def test_a_chatty_child_cannot_fill_the_disk(tmp_path: Path) -> None:
    from antiphon.supervisor.logs import BoundedLog

    log = BoundedLog(tmp_path / "worker.log", limit_bytes=1000)
    for _ in range(100):
        log.write(b"x" * 99 + b"\n")
    log.close()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["worker.log", "worker.log.1"]
    assert all(path.stat().st_size <= 1000 for path in tmp_path.iterdir())
