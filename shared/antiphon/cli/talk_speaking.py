"""Speaking into a live session and hearing what it answers, both at once."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from antiphon.cli.failure import CommandFailed
from antiphon.cli.talk_exchange import Exchange, Interrupted, Notice, Sounded
from antiphon.cli.talk_line import BYTES_PER_MS, FRAME_MS, Line
from antiphon.cli.talk_player import Player
from antiphon.cli.talk_recording import pace

_BREATH_MS = 1_000
"""Silence after a recording in which its last words may still be noticed."""
_LISTENING_MS = 10_000
"""Silence after a recording before nobody is taken to speak in it."""
_PATIENCE_S = 300.0


class Talk:
    """One side of a conversation."""

    def __init__(self, line: Line, *, player: Player, show: Callable[[Notice], None]) -> None:
        self._line = line
        self._player = player
        self._show = show
        self._exchange = Exchange(silence_ms=line.silence_ms)

    async def follow(self) -> None:
        """Show and play what comes, until the session ends. Raises `CommandFailed` then."""
        async for event in self._line.events():
            for notice in self._exchange.take(event, time.perf_counter()):
                if isinstance(notice, Sounded):
                    self._player.play(notice.item_id, notice.pcm)
                elif isinstance(notice, Interrupted):
                    for cut in self._player.stop():
                        await self._line.truncate(cut.item_id, played_ms=cut.played_ms)
                self._show(notice)

    async def say(self, frames: AsyncIterator[bytes]) -> None:
        """Send sound as it comes, without end."""
        async for frame in frames:
            await self._send(frame)

    async def ask(self, recording: bytes) -> None:
        """Say a recording, and be silent until it has been answered and the answer heard.

        Raises `CommandFailed` when nobody is heard to speak in it, or nothing comes.
        """
        self._exchange.begin_turn()
        silence_ms = -(len(recording) // BYTES_PER_MS)
        try:
            async with asyncio.timeout(_PATIENCE_S - silence_ms / 1000):
                async for frame in pace(recording):
                    await self._send(frame)
                    silence_ms += FRAME_MS
                    if silence_ms >= _BREATH_MS and self._exchange.is_settled and self._player.is_quiet:
                        return
                    if silence_ms >= _LISTENING_MS and not self._exchange.has_heard:
                        raise CommandFailed("nobody is heard to speak in it")
        except TimeoutError:
            raise CommandFailed(f"no answer came within {_PATIENCE_S:.0f} s") from None

    async def _send(self, frame: bytes) -> None:
        await self._line.append(frame)
        self._exchange.send(len(frame) // BYTES_PER_MS, time.perf_counter())


@asynccontextmanager
async def following(talk: Talk) -> AsyncIterator[None]:
    """Follow `talk` while the block runs. What ends the one ends the other. Raises `CommandFailed`."""
    try:
        async with asyncio.TaskGroup() as tasks:
            listening = tasks.create_task(talk.follow())
            yield
            listening.cancel()
    except BaseExceptionGroup as group:
        raise group.exceptions[0] from None
