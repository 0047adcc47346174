"""One file on its way through a decoder: what is open for it, and how it ends."""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import IO

from antiphon.audio.pcm import Pcm
from antiphon.audio.sniff import HEAD_BYTES, Container, sniff
from antiphon.errors import AntiphonError, Cancelled, InvalidAudio

UNSUPPORTED = (
    "Invalid file format. Supported formats: ['flac', 'm4a', 'mp3', 'mp4', 'mpeg', 'mpga', 'oga', 'ogg', 'wav', 'webm']"
)
EMPTY = "The audio file is empty."


class DecodeJob:
    """The input, the spool and the `Pcm` of one file."""

    def __init__(self, container: Container, source: IO[bytes], spool: IO[bytes]) -> None:
        self.container = container
        self.pcm = Pcm(spool.fileno())
        self._source = source
        self._spool = spool
        self._on_abandon: Callable[[], None] | None = None

    @property
    def source(self) -> int:
        """The descriptor of the input."""
        return self._source.fileno()

    @property
    def spool(self) -> int:
        """The descriptor that decoded samples are appended to."""
        return self._spool.fileno()

    def on_abandon(self, action: Callable[[], None]) -> None:
        """Call `action` when nobody wants the rest any more."""
        self._on_abandon = action

    def end(self, error: AntiphonError | None = None) -> None:
        """Settle the job. The first end counts."""
        self._on_abandon = None
        self.pcm.end(error)

    async def close(self) -> None:
        """Stop the decoding if it still runs, and drop what was decoded."""
        action = self._on_abandon
        self.end(Cancelled("The decoding was given up."))
        if action is not None:
            action()
        self.pcm.close()
        # Dropping a spool of hundreds of megabytes takes the kernel a while.
        await asyncio.to_thread(_close, self._source, self._spool)


async def open_job(path: Path, spool_dir: Path | None) -> DecodeJob:
    """Open `path` and a spool for it, off the event loop. Raises `InvalidAudio` for what no decoder need ever see."""
    opening = asyncio.ensure_future(asyncio.to_thread(_open, path, spool_dir))
    try:
        container, source, spool = await asyncio.shield(opening)
    except asyncio.CancelledError:
        opening.add_done_callback(_close_late)
        raise
    return DecodeJob(container, source, spool)


def _open(path: Path, spool_dir: Path | None) -> tuple[Container, IO[bytes], IO[bytes]]:
    with ExitStack() as opened:
        source = opened.enter_context(path.open("rb", buffering=0))
        head = source.read(HEAD_BYTES)
        if not head:
            raise InvalidAudio(EMPTY, param="file")
        container = sniff(head)
        if container is None:
            raise InvalidAudio(UNSUPPORTED, param="file")
        source.seek(0)
        # A file without a name: it cannot outlive the job, and its pages can leave memory, unlike those of a memfd.
        spool = opened.enter_context(tempfile.TemporaryFile(buffering=0, prefix="antiphon-", dir=spool_dir))
        opened.pop_all()
    return container, source, spool


def _close(*files: IO[bytes]) -> None:
    for file in files:
        file.close()


def _close_late(opening: asyncio.Future[tuple[Container, IO[bytes], IO[bytes]]]) -> None:
    if not opening.cancelled() and opening.exception() is None:
        _close(*opening.result()[1:])
