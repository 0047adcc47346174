"""Work that nobody waits for gets the processor while nothing else wants it. Where the system has no way, it shares."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

_LOWEST = 19


def step_back() -> None:
    """Let this thread, and those that it will start, run only while no other thread of the process wants to.

    There is no way back without privileges. Use it as the initializer of a thread pool. A thread that others wait for
    must not step back: while it holds a lock, so do they.
    """
    # Linux knows both of one thread, not of the process. The policy gives way at once, the nice value nearly so.
    with suppress(AttributeError, OSError):
        os.setpriority(os.PRIO_PROCESS, 0, _LOWEST)
    with suppress(AttributeError, OSError):
        os.sched_setscheduler(0, os.SCHED_IDLE, os.sched_param(0))


def step_back_with_session() -> None:
    """The same for a process that has one thread and leads a session of its own.

    Linux may share the processor out between sessions first, where a thread's priority does not count.
    """
    step_back()
    with suppress(OSError):
        Path("/proc/self/autogroup").write_text(str(_LOWEST))
