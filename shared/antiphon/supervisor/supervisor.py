"""Run processes stage by stage, and stop them in the opposite order."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path

from antiphon.errors import Unavailable
from antiphon.stopping import StopRequest
from antiphon.supervisor.keeper import Keeper
from antiphon.supervisor.plan import ProcessSpec, Stage
from antiphon.supervisor.restarts import RestartPolicy

Ready = Callable[[], Awaitable[None]]


async def _at_once() -> None:
    return


class Supervisor:
    """Keeps the processes of a platform. One `run` per object."""

    def __init__(
        self,
        *,
        logs: Path,
        say: Callable[[str], None],
        on_line: Callable[[str, str], None] | None = None,
        policy: RestartPolicy | None = None,
    ) -> None:
        self._logs = logs
        self._say = say
        self._on_line = on_line
        self._policy = policy or RestartPolicy()
        self._keepers: list[Keeper] = []
        self._given_up: asyncio.Event = asyncio.Event()
        self._reason: str | None = None
        self._is_ready = False

    def pids(self) -> dict[str, int]:
        """Return the process id of each process that runs now, by name."""
        return {keeper.spec.name: keeper.pid for keeper in self._keepers if keeper.pid is not None}

    async def run(
        self,
        specs: Sequence[ProcessSpec],
        *,
        stop: StopRequest,
        server_ready: Ready = _at_once,
        ready: Ready = _at_once,
        on_ready: Callable[[], None] = lambda: None,
    ) -> None:
        """Start `specs`, keep them running until `stop` is asked for, then end them in order.

        `server_ready` is awaited between the server and the services, `ready` when all are started.
        Everything is ended before this returns or raises. Raises `Unavailable` with one line of reason when a process
        cannot start or when one of the two conditions raises it.
        """
        async with asyncio.TaskGroup() as tasks:
            try:
                for stage in Stage:
                    for spec in specs:
                        if spec.stage is stage:
                            self._start(spec, tasks)
                    if stage is Stage.SERVER and not await self._reach(server_ready, stop):
                        break
                if await self._reach(ready, stop):
                    self._is_ready = True
                    on_ready()
                    await self._first_of(stop.wait(), self._given_up.wait())
            except Unavailable as error:  # kept aside: the group would wrap it
                self._reason = self._reason or error.message
            finally:
                await self._stop_all(stop)
        if self._reason is not None:
            raise Unavailable(self._reason)

    def _start(self, spec: ProcessSpec, tasks: asyncio.TaskGroup) -> None:
        keeper = Keeper(
            spec,
            logs=self._logs,
            policy=self._policy,
            say=self._say,
            was_ready=lambda: self._is_ready,
            on_line=self._on_line,
        )
        self._keepers.append(keeper)
        tasks.create_task(self._keep(keeper), name=f"keep {spec.name}")

    async def _keep(self, keeper: Keeper) -> None:
        reason = await keeper.run()
        if reason is not None:
            self._reason = self._reason or reason
            self._given_up.set()

    async def _reach(self, condition: Ready, stop: StopRequest) -> bool:
        """Await `condition`. Returns False when the wish to stop or a failed process came first."""
        await self._first_of(condition(), stop.wait(), self._given_up.wait())
        return not (stop.is_set() or self._given_up.is_set())

    async def _first_of(self, *waits: Awaitable[object]) -> None:
        tasks = [asyncio.ensure_future(wait) for wait in waits]
        try:
            done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                task.result()
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def _stop_all(self, stop: StopRequest) -> None:
        for stage in reversed(Stage):
            leaving = [keeper for keeper in self._keepers if keeper.spec.stage is stage]
            if not leaving:
                continue
            async with asyncio.TaskGroup() as tasks:
                for keeper in leaving:
                    tasks.create_task(keeper.stop(hurry=stop.hurry))
