"""Keep one process running until it is told to stop."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path

from antiphon.settings import CANNOT_START
from antiphon.supervisor.child import Child
from antiphon.supervisor.logs import BoundedLog
from antiphon.supervisor.plan import ProcessSpec
from antiphon.supervisor.restarts import Exit, GiveUp, RestartPolicy, decide


class Keeper:
    """Starts a process, starts it again when it dies, and ends it."""

    def __init__(
        self,
        spec: ProcessSpec,
        *,
        logs: Path,
        policy: RestartPolicy,
        say: Callable[[str], None],
        was_ready: Callable[[], bool],
        on_line: Callable[[str, str], None] | None = None,
    ) -> None:
        self.spec = spec
        self._log_path = logs / f"{spec.name}.log"
        self._policy = policy
        self._say = say
        self._was_ready = was_ready
        self._on_line = on_line
        self._stopping = asyncio.Event()
        self._child: Child | None = None

    @property
    def pid(self) -> int | None:
        """The process id while the process runs."""
        return self._child.pid if self._child is not None else None

    async def run(self) -> str | None:
        """Run until `stop`. Returns None then, and one line of reason when the process was given up before."""
        log = BoundedLog(self._log_path)
        failures = 0
        try:
            while not self._stopping.is_set():
                try:
                    self._child = await Child.start(self.spec, log, on_line=self._on_line)
                except OSError as error:
                    return f"{self.spec.name} cannot start: {error.strerror or error}"
                child = self._child
                if self._stopping.is_set():  # the wish came while the process was being made
                    await child.stop(hurry=self._stopping)
                ended = await child.wait()
                self._child = None
                if self._stopping.is_set():
                    return None
                verdict = decide(ended, failures=failures, was_ready=self._was_ready(), policy=self._policy)
                reason = self._describe(ended, child.last_words)
                if isinstance(verdict, GiveUp):
                    return reason
                failures = verdict.failures
                self._say(f"{reason}; starting it again in {verdict.delay_s:g} s")
                await self._pause(verdict.delay_s)
        finally:
            log.close()
        return None

    async def stop(self, *, hurry: asyncio.Event) -> None:
        """End the process: SIGTERM, and SIGKILL after its grace or on `hurry`."""
        self._stopping.set()
        if self._child is not None:
            await self._child.stop(hurry=hurry)

    def _describe(self, ended: Exit, last_words: str | None) -> str:
        if ended.code == CANNOT_START and last_words:
            return f"{self.spec.name} cannot start: {last_words.partition(' cannot start: ')[2] or last_words}"
        said = f" ({last_words})" if last_words else ""
        return f"{self.spec.name} {ended}{said}, log in {self._log_path}"

    async def _pause(self, delay_s: float) -> None:
        try:
            async with asyncio.timeout(delay_s):
                await self._stopping.wait()
        except TimeoutError:
            return
