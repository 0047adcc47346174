"""One running child process: its start, its output, its end."""

from __future__ import annotations

import asyncio
import os
import signal
import time
from collections.abc import Callable
from contextlib import suppress

from antiphon.supervisor.logs import BoundedLog, OutputLines
from antiphon.supervisor.orphans import signal_when_orphaned
from antiphon.supervisor.plan import ProcessSpec
from antiphon.supervisor.restarts import Exit

STDERR = 2
LAST_OUTPUT_S = 0.5
DEATH_S = 10.0


class Child:
    """A child in a session of its own, so that Ctrl-C on the terminal reaches the supervisor alone."""

    def __init__(self, spec: ProcessSpec, transport: asyncio.SubprocessTransport, output: _Output) -> None:
        self.spec = spec
        self._transport = transport
        self._output = output
        self._started = time.monotonic()

    @classmethod
    async def start(
        cls, spec: ProcessSpec, log: BoundedLog, *, on_line: Callable[[str, str], None] | None = None
    ) -> Child:
        """Start the process. `on_line(name, line)` sees every line it writes. Raises `OSError`."""
        loop = asyncio.get_running_loop()

        def show(line: str) -> None:
            if on_line is not None:
                on_line(spec.name, line)

        transport, output = await loop.subprocess_exec(
            lambda: _Output(log, show),
            *spec.command,
            stdin=asyncio.subprocess.DEVNULL,
            env=dict(spec.environment),
            pass_fds=spec.pass_fds,
            start_new_session=True,
            preexec_fn=signal_when_orphaned(spec.orphan_signal),
        )
        return cls(spec, transport, output)

    @property
    def pid(self) -> int:
        """The process id, also of its group."""
        return self._transport.get_pid()

    @property
    def last_words(self) -> str | None:
        """The last line it wrote on stderr, else on stdout."""
        for lines in (self._output.stderr, self._output.stdout):
            if lines.tail:
                return lines.tail[-1]
        return None

    async def wait(self) -> Exit:
        """Wait for the end of the process. What it started and left behind is ended too."""
        await self._output.exited.wait()
        ran_s = time.monotonic() - self._started
        with suppress(ProcessLookupError, PermissionError):  # the usual case: nothing is left of its group
            os.killpg(self.pid, signal.SIGKILL)
        with suppress(TimeoutError):  # a process that left its group may hold the pipe
            async with asyncio.timeout(LAST_OUTPUT_S):
                await self._output.closed.wait()
        self._output.finish()
        code = self._transport.get_returncode()
        self._transport.close()
        return Exit(code if code is not None else 0, ran_s)

    async def stop(self, *, hurry: asyncio.Event) -> None:
        """Ask the process to end, and wait: until it has, until its grace is over, or until `hurry`; then kill it.

        The server gets the rest of its grace even in a hurry.
        """
        self._signal(signal.SIGTERM)
        ended = asyncio.ensure_future(self._output.exited.wait())
        hurried = asyncio.ensure_future(hurry.wait())
        try:
            waiting_for = {ended, hurried} if self.spec.may_be_killed else {ended}
            await asyncio.wait(waiting_for, timeout=self.spec.grace_s, return_when=asyncio.FIRST_COMPLETED)
            if not ended.done():
                self._signal(signal.SIGKILL)
                await asyncio.wait({ended}, timeout=DEATH_S)
        finally:
            ended.cancel()
            hurried.cancel()

    def _signal(self, number: signal.Signals) -> None:
        with suppress(ProcessLookupError):  # it ended meanwhile
            self._transport.send_signal(number)


class _Output(asyncio.SubprocessProtocol):
    """What asyncio tells about a child. Not `Process.wait()`: that waits for every heir of its pipes as well."""

    def __init__(self, log: BoundedLog, on_line: Callable[[str], None]) -> None:
        self.exited = asyncio.Event()
        self.closed = asyncio.Event()
        self.stdout = OutputLines(on_line)
        self.stderr = OutputLines(on_line)
        self._log = log
        self._open_pipes = 2

    def pipe_data_received(self, fd: int, data: bytes) -> None:
        self._log.write(data)
        (self.stderr if fd == STDERR else self.stdout).feed(data)

    def pipe_connection_lost(self, fd: int, exc: Exception | None) -> None:
        self._open_pipes -= 1
        if self._open_pipes == 0:
            self.closed.set()

    def process_exited(self) -> None:
        self.exited.set()

    def finish(self) -> None:
        self.stdout.finish()
        self.stderr.finish()
