"""Let the kernel end a child whose supervisor is gone."""

from __future__ import annotations

import ctypes
import os
import signal
import sys
from collections.abc import Callable

PR_SET_PDEATHSIG = 1


def signal_when_orphaned(number: signal.Signals) -> Callable[[], None] | None:
    """Return what a child runs between fork and exec so that it gets `number` when this process dies.

    The supervisor cannot do this itself: nothing of it runs after SIGKILL. None where the kernel has no such call.
    """
    if not sys.platform.startswith("linux"):
        return None
    libc = ctypes.CDLL(None, use_errno=True)
    parent = os.getpid()

    def request() -> None:
        libc.prctl(PR_SET_PDEATHSIG, int(number), 0, 0, 0)
        if os.getppid() != parent:  # it died before the call
            os._exit(1)

    return request
