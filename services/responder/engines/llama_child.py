"""The owner's hold on the process of a model.

A process of its own, because llama.cpp aborts where a library would raise, and because its threads then never wait for
the interpreter.
"""

from __future__ import annotations

import json
import os
import secrets
import socket
import subprocess
import sys
import tempfile
import threading
import time
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import IO

from services.responder.engines.openmp import NAME as OPENMP
from services.responder.engines.openmp import with_openmp

# Credentials stay out of a process that reads what strangers send.
_ENVIRONMENT = ("PATH", "PYTHONPATH", "PYTHONHOME", "LD_LIBRARY_PATH", "LANG", "LC_ALL", "TZ", "TMPDIR")
_TUNING = {
    # Threads that wait for each other spin, by default for so long that one other busy process on the machine makes
    # the model twenty times slower. Left to the kernel at once, they lose next to nothing on an idle one.
    "GOMP_SPINCOUNT": "100",
    "GGML_NO_BACKTRACE": "1",  # it would be a debugger's, started when the process aborts
}
_PREFIX = "antiphon-llama-"
_LONGEST_SOCKET_PATH = 107
_STARTING_S = 600.0
_FAREWELL_S = 3.0


class ChildFailed(Exception):
    """The process ended before it was ready; the message is the last that it wrote."""


@dataclass(frozen=True, kw_only=True)
class ChildSettings:
    """What the process is told: sizes in tokens and MiB."""

    weights: str
    threads: int
    parallel: int
    context_tokens: int
    prompt_cache_mib: int
    kv_type: str
    batch_tokens: int
    repack: bool
    thinks: bool


class Child:
    """One process with one model, behind a socket in a folder that is the owner's alone."""

    def __init__(self, process: subprocess.Popen[bytes], *, place: Path, key: str, log: Path) -> None:
        self._process = process
        self._log = log
        self._closing = threading.Lock()
        self.socket = place
        self.key = key

    @classmethod
    def start(cls, settings: ChildSettings) -> Child:
        """Start the process and wait until the model is loaded. Blocking. Raises `ChildFailed`, OSError."""
        _sweep()
        folder = _private_folder()
        place, log, key = folder / "llama.sock", folder / "log", secrets.token_urlsafe(32)
        process = _spawn(log, folder)
        child = cls(process, place=place, key=key, log=log)
        told = {**asdict(settings), "socket": str(place), "key": key}
        try:
            with suppress(BrokenPipeError):
                _pipe(process.stdin).write(json.dumps(told).encode() + b"\n")
                _pipe(process.stdin).flush()
            if _pipe(process.stdout).readline() != b"ready\n":
                raise ChildFailed(child.last_words())
        except BaseException:
            child.close()
            raise
        return child

    @property
    def pid(self) -> int:
        """The id of the process."""
        return self._process.pid

    @property
    def alive(self) -> bool:
        """Whether the process runs."""
        return self._process.poll() is None

    def ends(self, *, within_s: float) -> bool:
        """Wait until the process has ended. Blocking. Returns whether it has."""
        with suppress(subprocess.TimeoutExpired):
            self._process.wait(within_s)
        return not self.alive

    def last_words(self) -> str:
        """Return the end of what the process wrote about its troubles."""
        with suppress(OSError):
            lines = self._log.read_text(encoding="utf-8", errors="replace").strip().splitlines()
            return " ".join(lines[-3:])[-500:]
        return ""

    def close(self) -> None:
        """End the process and wait until it is gone. Blocking, a few seconds at most."""
        with self._closing:
            for pipe in (self._process.stdin, self._process.stdout):
                with suppress(OSError):
                    _pipe(pipe).close()
            try:
                self._process.wait(_FAREWELL_S)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()
            _remove(self.socket.parent)


def _spawn(log: Path, folder: Path) -> subprocess.Popen[bytes]:
    environment = with_openmp({name: os.environ[name] for name in _ENVIRONMENT if name in os.environ}, folder)
    with log.open("wb") as errors:
        return subprocess.Popen(
            [sys.executable, "-P", "-m", "services.responder.engines.llama_process"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=errors,
            env=environment | _TUNING,
        )


def _private_folder() -> Path:
    folder = Path(tempfile.mkdtemp(prefix=_PREFIX))
    if len(str(folder)) + len("/llama.sock") > _LONGEST_SOCKET_PATH:
        folder.rmdir()
        folder = Path(tempfile.mkdtemp(prefix=_PREFIX, dir="/tmp"))
    return folder


def _sweep() -> None:
    """Remove the folders of processes that were killed together with their owners."""
    for folder in Path(tempfile.gettempdir()).glob(f"{_PREFIX}*"):
        with suppress(OSError), socket.socket(socket.AF_UNIX) as caller:
            if time.time() - folder.stat().st_mtime < _STARTING_S:
                continue
            try:
                caller.connect(str(folder / "llama.sock"))
            except (ConnectionRefusedError, FileNotFoundError):
                _remove(folder)


def _remove(folder: Path) -> None:
    for name in ("llama.sock", "log", OPENMP):
        (folder / name).unlink(missing_ok=True)
    with suppress(OSError):
        folder.rmdir()


def _pipe(pipe: IO[bytes] | None) -> IO[bytes]:
    if pipe is None:
        raise TypeError("the process was started without pipes")
    return pipe
