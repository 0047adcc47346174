"""Take away from this process what a decoder does not need. Every step is best effort except the resource limits."""

from __future__ import annotations

import ctypes
import os
import resource
import signal
from contextlib import suppress
from pathlib import Path

_CLONE_NEWUSER = 0x10000000
_CLONE_NEWNET = 0x40000000
_PR_SET_PDEATHSIG = 1
_PR_SET_DUMPABLE = 4
_PR_SET_NO_NEW_PRIVS = 38
_NOBODY = 65534


def leave_network() -> None:
    """Move to a network namespace of its own, with no interface up. Call it while there is one thread.

    Not every kernel or container allows that; the full descriptor table (see `confine`) stands in for it there.
    """
    with suppress(OSError, AttributeError):
        libc = ctypes.CDLL(None, use_errno=True)
        libc.unshare(_CLONE_NEWNET if os.geteuid() == 0 else _CLONE_NEWUSER | _CLONE_NEWNET)


def confine(*, memory_bytes: int, file_bytes: int, descriptors: int) -> None:
    """Give up privileges and set the limits that hold for the rest of this process's life.

    Args:
        memory_bytes: address space on top of what is mapped now.
        file_bytes: size of the largest file it may write.
        descriptors: how many descriptors may be open. When a job's own fill the table, nothing else can be opened,
            neither a path nor a socket.
    """
    os.chdir("/")
    with suppress(OSError):
        if os.geteuid() == 0:
            os.setgroups([])
            os.setresgid(_NOBODY, _NOBODY, _NOBODY)
            os.setresuid(_NOBODY, _NOBODY, _NOBODY)
    with suppress(OSError, AttributeError):
        prctl = ctypes.CDLL(None, use_errno=True).prctl
        prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
        prctl(_PR_SET_DUMPABLE, 0, 0, 0, 0)
        # After the change of user, which clears it. The closed channel tells the same, but only between jobs.
        prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    address_space = _mapped_bytes() + memory_bytes
    for limit, value in (
        (resource.RLIMIT_CORE, 0),
        (resource.RLIMIT_NPROC, 0),
        (resource.RLIMIT_FSIZE, file_bytes),
        (resource.RLIMIT_AS, address_space),
        (resource.RLIMIT_DATA, address_space),
        (resource.RLIMIT_NOFILE, descriptors),
    ):
        _, hard = resource.getrlimit(limit)
        bound = value if hard == resource.RLIM_INFINITY else min(value, hard)
        resource.setrlimit(limit, (bound, bound))


def allow_cpu(seconds: int) -> None:
    """Let the kernel kill this process when it has used `seconds` more of CPU. Replaces the allowance before."""
    _, hard = resource.getrlimit(resource.RLIMIT_CPU)
    used = resource.getrusage(resource.RUSAGE_SELF)
    soft = int(used.ru_utime + used.ru_stime) + 1 + seconds
    resource.setrlimit(resource.RLIMIT_CPU, (soft if hard == resource.RLIM_INFINITY else min(soft, hard), hard))


def _mapped_bytes() -> int:
    return int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
