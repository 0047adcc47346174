"""The process that meets untrusted bytes: `python -m antiphon.audio.decoder_process CHANNEL MEMORY FILE BACKGROUND`.

`decoder_child` starts it. It decodes one file at a time from a descriptor into a descriptor, and never opens a path.
"""

from __future__ import annotations

import gc
import io
import os
import socket
import sys
from collections.abc import Iterator

from antiphon.audio.decoder_confinement import allow_cpu, confine, leave_network
from antiphon.audio.decoder_media import NoAudio, Undecodable, decode
from antiphon.audio.decoder_protocol import SPOOL_SAMPLE_BYTES, Report, Request, Word
from antiphon.background import step_back_with_session

_CHANNEL = 3
_DESCRIPTORS = 6
"""0, 1 and 2 lead nowhere, 3 is the channel, 4 and 5 are the job's: with a job in hand the table is full."""

_SILENCE = b"RIFF\x2c\0\0\0WAVEfmt \x10\0\0\0\1\0\1\0\x40\x1f\0\0\x80\x3e\0\0\2\0\x10\0data\x08\0\0\0" + bytes(8)


def main(arguments: list[str]) -> None:
    """Take jobs from the channel until the owner closes it."""
    inherited, memory_bytes, file_bytes, background = map(int, arguments)
    leave_network()
    for _ in decode(io.BytesIO(_SILENCE), "wav"):
        pass  # What is loaded on first use is loaded now: later there is no descriptor left to load it with.
    if background:
        step_back_with_session()
    channel = _settle_descriptors(inherited)
    confine(memory_bytes=memory_bytes, file_bytes=file_bytes, descriptors=_DESCRIPTORS)
    gc.collect()
    gc.freeze()  # What is loaded now stays; collecting after a job then takes microseconds instead of milliseconds.
    channel.send(Report(Word.READY).pack())
    while True:
        record, descriptors, _, _ = socket.recv_fds(channel, Request.LAYOUT.size, 2)
        if not record:
            return
        source, spool = descriptors
        for report in _run(Request.unpack(record), source, spool):
            channel.send(report.pack())
        os.close(source)
        os.close(spool)
        gc.collect()  # FFmpeg's objects hang in cycles. Collected between jobs, they cost no caller anything.


def _run(request: Request, source: int, spool: int) -> Iterator[Report]:
    """Decode `source` into `spool`; every report but the last is about progress."""
    allow_cpu(request.cpu_s)
    yield Report(Word.ACCEPTED)
    samples = 0
    try:
        for block in decode(io.FileIO(source, closefd=False), request.container):
            samples += len(block) // SPOOL_SAMPLE_BYTES
            if samples > request.max_samples:
                yield Report(Word.TOO_LONG, samples)
                return
            _write(spool, block)
            allow_cpu(request.cpu_s)
            yield Report(Word.PROGRESS, samples)
    except Undecodable:
        yield Report(Word.UNDECODABLE, samples)
    except NoAudio:
        yield Report(Word.NO_AUDIO, samples)
    except MemoryError:
        yield Report(Word.OUT_OF_MEMORY, samples)
    except OSError:
        yield Report(Word.NO_SPACE, samples)
    except Exception:  # Whatever the binding raises over hostile bytes, the bytes are the reason.
        yield Report(Word.UNDECODABLE, samples)
    else:
        yield Report(Word.DONE, samples)


def _write(descriptor: int, block: bytes) -> None:
    view = memoryview(block)
    while view:
        view = view[os.write(descriptor, view) :]


def _settle_descriptors(inherited: int) -> socket.socket:
    """Move the channel to its place and close or silence everything else."""
    if inherited != _CHANNEL:
        os.dup2(inherited, _CHANNEL)
    nowhere = os.open(os.devnull, os.O_RDWR)
    for standard in (0, 1, 2):
        os.dup2(nowhere, standard)
    os.closerange(_CHANNEL + 1, max(inherited, nowhere, 256) + 1)
    return socket.socket(fileno=_CHANNEL)


if __name__ == "__main__":
    main(sys.argv[1:])
