"""Recordings in a container that servers take: wav and mp3 as they are, anything else as wav."""

from __future__ import annotations

import asyncio
import struct
import tempfile
from contextlib import AsyncExitStack
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from antiphon.audio.decode import DecodeLimits, DecoderPool
from antiphon.audio.samples import RECOGNITION_RATE
from antiphon.audio.sniff import HEAD_BYTES, MP3, WAV, sniff
from antiphon.errors import InvalidAudio
from antiphon.schemas import AudioPart
from services.responder.engines.upstream_request import Clip

if TYPE_CHECKING:
    from antiphon.audio.pcm import Pcm
    from services.responder.engines.language_model import Prompt

LONGEST_S = 1500.0
"""Seconds of a recording that is converted: 48 MB of wav."""


class Ear:
    """Converts what has to be converted, in decoder processes that start when the first recording needs one."""

    def __init__(self) -> None:
        self._stack = AsyncExitStack()
        self._decoders: DecoderPool | None = None

    async def hear(self, prompt: Prompt) -> dict[str, Clip]:
        """Return the recordings of what users say, by the `uri` of their blobs. Raises `InvalidAudio`, `Unavailable`.

        Earlier answers are left out: no server takes sound that the assistant has said.
        """
        uris = {
            part.audio.uri
            for message in prompt.messages
            for part in message.content
            if message.role == "user" and isinstance(part, AudioPart)
        }
        return {uri: await self._clip(prompt.recordings[uri]) for uri in sorted(uris) if uri in prompt.recordings}

    async def aclose(self) -> None:
        """Stop the decoders."""
        await self._stack.aclose()

    async def _clip(self, data: bytes) -> Clip:
        container = sniff(data[:HEAD_BYTES])
        if container is WAV:
            return Clip(data, "wav")
        if container is MP3:
            return Clip(data, "mp3")
        if self._decoders is None:
            self._decoders = DecoderPool(DecodeLimits(max_s=LONGEST_S), size=1)
            await self._stack.enter_async_context(self._decoders)
        with tempfile.TemporaryDirectory(prefix="antiphon-") as folder:
            path = Path(folder) / "recording"
            await asyncio.to_thread(path.write_bytes, data)
            try:
                async with self._decoders.decode(path) as pcm:
                    await pcm.length()
                    return Clip(await asyncio.to_thread(_wav, pcm), "wav")
            except InvalidAudio as error:
                error.param = "messages"
                raise


def _wav(pcm: Pcm) -> bytes:
    samples: bytes = np.rint(pcm.read(0, pcm.samples) * 32768.0).astype("<i2").tobytes()
    layout = struct.pack("<HHIIHH", 1, 1, RECOGNITION_RATE, 2 * RECOGNITION_RATE, 2, 16)
    head = b"WAVE" + b"fmt " + struct.pack("<I", len(layout)) + layout + b"data" + struct.pack("<I", len(samples))
    return b"RIFF" + struct.pack("<I", len(head) + len(samples)) + head + samples
