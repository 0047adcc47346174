"""The owner's hold on one decoder process."""

from __future__ import annotations

import asyncio
import os
import socket
import struct
import subprocess
import sys
from contextlib import suppress

from antiphon.audio.decode_limits import DecodeLimits
from antiphon.audio.decoder_protocol import SPOOL_SAMPLE_BYTES, Report, Request, Word

# Credentials stay out of a process that reads what strangers send.
_ENVIRONMENT = ("PATH", "PYTHONPATH", "PYTHONHOME", "LD_LIBRARY_PATH", "LANG", "LC_ALL", "TZ")


class DecoderGone(Exception):
    """The process ended, or speaks nonsense: killed, crashed, out of CPU, or not able to start."""


class DecoderChild:
    """One process, one file at a time."""

    def __init__(self, process: subprocess.Popen[bytes], channel: socket.socket) -> None:
        self._process = process
        self._channel = channel

    @property
    def pid(self) -> int:
        """The id of the process."""
        return self._process.pid

    @classmethod
    async def start(cls, limits: DecodeLimits, *, background: bool = False) -> DecoderChild:
        """Start a process and wait until it is warm. Raises `DecoderGone`, OSError."""
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with theirs:
            ours.setblocking(False)
            try:
                process = _spawn(theirs, limits, background=background)
            except OSError:
                ours.close()
                raise
        child = cls(process, ours)
        try:
            async with asyncio.timeout(limits.start_s):
                report = await child.report()
            if report.word is not Word.READY:
                raise DecoderGone
        except TimeoutError as error:
            await child.close()
            raise DecoderGone from error
        except BaseException:
            await child.close()
            raise
        return child

    def give(self, request: Request, *, source: int, spool: int) -> None:
        """Hand over a job with its descriptors. Raises `DecoderGone`."""
        try:
            socket.send_fds(self._channel, [request.pack()], [source, spool])
        except OSError as error:
            raise DecoderGone from error

    async def report(self) -> Report:
        """Wait for the next report. Raises `DecoderGone`."""
        try:
            return Report.unpack(await asyncio.get_running_loop().sock_recv(self._channel, Report.LAYOUT.size))
        except (OSError, ValueError, struct.error) as error:
            raise DecoderGone from error

    def kill(self) -> None:
        """End the process now; whoever waits for a report gets `DecoderGone`."""
        with suppress(ProcessLookupError):
            self._process.kill()

    async def close(self) -> int:
        """End the process, wait until it is gone and return its exit code, negative for a signal."""
        self.kill()
        self._channel.close()
        return await asyncio.to_thread(self._process.wait)


def _spawn(channel: socket.socket, limits: DecodeLimits, *, background: bool) -> subprocess.Popen[bytes]:
    file_bytes = limits.max_samples * SPOOL_SAMPLE_BYTES
    environment = {name: os.environ[name] for name in _ENVIRONMENT if name in os.environ}
    arguments = [channel.fileno(), limits.memory_bytes, file_bytes, int(background)]
    return subprocess.Popen(  # noqa: S603 (nothing in it comes from outside)
        [sys.executable, "-P", "-m", "antiphon.audio.decoder_process", *map(str, arguments)],
        pass_fds=[channel.fileno()],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        env=environment | {"OPENBLAS_NUM_THREADS": "1"},
        start_new_session=True,
    )
