"""The microphone and the loudspeaker of this machine, through PortAudio."""

from __future__ import annotations

import asyncio
import threading
from collections import deque
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from types import ModuleType
from typing import Any

from antiphon.cli.failure import CommandFailed
from antiphon.cli.talk_line import BYTES_PER_MS, FRAME_MS, SAMPLE_RATE
from antiphon.cli.talk_player import Cut

_SOUND: dict[str, Any] = {"samplerate": SAMPLE_RATE, "channels": 1, "dtype": "int16"}
_BACKLOG = 250
"""Frames of the microphone that wait to be sent, ten seconds; then the oldest are lost."""


class Microphone:
    """What is said here, as PCM of 16 bit, little-endian, mono, 24 kHz."""

    def __init__(self) -> None:
        self._frames: asyncio.Queue[bytes] = asyncio.Queue()

    def feed(self, pcm: bytes) -> None:
        """Take a frame from the device. For its owner, on the event loop."""
        if self._frames.qsize() >= _BACKLOG:
            self._frames.get_nowait()
        self._frames.put_nowait(pcm)

    async def frames(self) -> AsyncIterator[bytes]:
        """Yield frames as they are recorded, without end."""
        while True:
            yield await self._frames.get()


@dataclass
class _Piece:
    item_id: str
    pcm: bytes
    start: int = 0


class Loudspeaker:
    """Plays answers. `fill` is called by the device's own thread, everything else on the event loop."""

    def __init__(self) -> None:
        self._pieces: deque[_Piece] = deque()
        self._played: dict[str, int] = {}
        self._guard = threading.Lock()

    @property
    def is_quiet(self) -> bool:
        """Whether all that was given has been heard."""
        with self._guard:
            return not self._pieces

    def play(self, item_id: str, pcm: bytes) -> None:
        """Have more of an answer heard, after what was given before."""
        with self._guard:
            self._pieces.append(_Piece(item_id, pcm))

    def stop(self) -> list[Cut]:
        """Be quiet at once. Returns what that has cut off."""
        with self._guard:
            cut = dict.fromkeys(piece.item_id for piece in self._pieces)
            self._pieces.clear()
            return [Cut(item_id, played_ms=self._played.get(item_id, 0) // BYTES_PER_MS) for item_id in cut]

    def fill(self, room: memoryview) -> None:
        """Put the next sound into the device's buffer, and silence where there is none."""
        filled = 0
        with self._guard:
            while filled < len(room) and self._pieces:
                piece = self._pieces[0]
                taken = piece.pcm[piece.start : piece.start + len(room) - filled]
                room[filled : filled + len(taken)] = taken
                filled += len(taken)
                piece.start += len(taken)
                self._played[piece.item_id] = self._played.get(piece.item_id, 0) + len(taken)
                if piece.start == len(piece.pcm):
                    self._pieces.popleft()
        room[filled:] = bytes(len(room) - filled)


@contextmanager
def open_microphone() -> Iterator[Microphone]:
    """Record, for the event loop that runs. Raises `CommandFailed` when there is nothing to record with."""
    with _devices("microphone") as devices:
        loop, microphone = asyncio.get_running_loop(), Microphone()

        def record(data: Any, frames: int, when: Any, status: Any) -> None:
            loop.call_soon_threadsafe(microphone.feed, bytes(data))

        stream = devices.RawInputStream(**_SOUND, blocksize=SAMPLE_RATE * FRAME_MS // 1000, callback=record)
        with stream:
            yield microphone


@contextmanager
def open_loudspeaker() -> Iterator[Loudspeaker]:
    """Play. Raises `CommandFailed` when there is nothing to play with."""
    with _devices("loudspeaker") as devices:
        loudspeaker = Loudspeaker()

        def play(room: Any, frames: int, when: Any, status: Any) -> None:
            loudspeaker.fill(memoryview(room).cast("B"))

        with devices.RawOutputStream(**_SOUND, callback=play):
            yield loudspeaker


@contextmanager
def _devices(wanted: str) -> Iterator[ModuleType]:
    try:
        import sounddevice  # noqa: PLC0415 - many machines have no use for it
    except ImportError:
        raise CommandFailed(f"no {wanted} without the package sounddevice: pip install sounddevice") from None
    except OSError:
        raise CommandFailed(f"no {wanted} without PortAudio: on Debian, apt-get install libportaudio2") from None
    try:
        yield sounddevice
    except sounddevice.PortAudioError as error:
        raise CommandFailed(f"no {wanted} is to be had here ({error.args[0]})") from None
