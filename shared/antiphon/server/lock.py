"""One running platform per data folder."""

from __future__ import annotations

import errno
import fcntl
import os
import time
from pathlib import Path

from antiphon.errors import Unavailable

LEAVING_S = 5.0  # how long to wait for the server of a supervisor that is already dead
POLL_S = 0.05


class DataLock:
    """An advisory lock on a data folder, held for as long as any process has its descriptor open.

    The server inherits the descriptor, so that the folder stays locked while a server outlives its supervisor.
    """

    def __init__(self, folder: Path) -> None:
        self._path = folder / "lock"
        self._fd: int | None = None

    @property
    def fd(self) -> int:
        """The open descriptor, for `pass_fds`."""
        if self._fd is None:
            raise RuntimeError("the lock is not held")
        return self._fd

    def acquire(self) -> None:
        """Take the lock, or raise `Unavailable` naming who has it.

        Blocking, but only for the few seconds in which a dead supervisor's server shuts down.
        """
        self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        fd = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        give_up = time.monotonic() + LEAVING_S
        while not _try_lock(fd):
            holder = _read_pid(fd)
            if (holder is not None and _is_alive(holder)) or time.monotonic() > give_up:
                os.close(fd)
                who = f" (process {holder})" if holder is not None else ""
                raise Unavailable(
                    f"another antiphon{who} is running with the data in {self._path.parent}: "
                    "stop it, or set ANTIPHON_STATE_DIR to another folder"
                )
            time.sleep(POLL_S)
        os.ftruncate(fd, 0)
        os.pwrite(fd, f"{os.getpid()}\n".encode(), 0)
        self._fd = fd

    def release(self) -> None:
        """Give the lock back. Harmless when it is not held."""
        if self._fd is not None:
            os.close(self._fd)
            self._fd = None


def _try_lock(fd: int) -> bool:
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        if error.errno in (errno.EAGAIN, errno.EACCES):
            return False
        raise
    return True


def _read_pid(fd: int) -> int | None:
    text = os.pread(fd, 32, 0).strip()
    return int(text) if text.isdigit() else None


def _is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
