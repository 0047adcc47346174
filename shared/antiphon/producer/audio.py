"""Sound into a job: inline when it is small, else in pieces into the server, where it stays for a while."""

from __future__ import annotations

import asyncio
import base64
import io
import mimetypes
import secrets
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

from antiphon.errors import ContentTooLarge
from antiphon.schemas import BlobRef

if TYPE_CHECKING:
    from datetime import timedelta

    from antiphon.bus import Values

_MIB = 1024 * 1024
_INLINE_LIMIT = _MIB
_LARGEST = 512 * _MIB
"""A server keeps no longer value."""


@dataclass(frozen=True, slots=True)
class Sound:
    """Bytes, or a file that is read piece by piece."""

    file: BinaryIO
    size: int
    media_type: str | None

    @classmethod
    def open(cls, audio: bytes | str | Path, *, media_type: str | None) -> Sound:
        """Open what a caller gave; a file's media type is told by its name. Raises `OSError`, `ContentTooLarge`."""
        if isinstance(audio, bytes):
            sound = cls(io.BytesIO(audio), len(audio), media_type)
        else:
            path = Path(audio)
            sound = cls(path.open("rb"), path.stat().st_size, media_type or mimetypes.guess_type(path.name)[0])
        if sound.size > _LARGEST:
            sound.file.close()
            raise ContentTooLarge("Audio through the bus is at most 512 MiB. Upload it over HTTP, or refer to a URL.")
        return sound

    @property
    def small(self) -> bool:
        """Tell whether it travels in the job."""
        return self.size <= _INLINE_LIMIT

    def inline(self) -> BlobRef:
        """Return a reference that has the bytes in it."""
        data = self.file.read()
        kind = self.media_type or "application/octet-stream"
        uri = f"data:{kind};base64,{base64.b64encode(data).decode()}"
        return BlobRef(uri=uri, size=len(data), media_type=self.media_type)

    async def keep(self, values: Values, ttl: timedelta) -> BlobRef:
        """Store it under a name that nobody else has, and return that. Raises `Unavailable`."""
        name, size = secrets.token_hex(16), 0
        try:
            await asyncio.to_thread(self.file.seek, 0)
            while piece := await asyncio.to_thread(self.file.read, _MIB):
                await values.append(f"blob:{name}", piece, ttl)
                size += len(piece)
        except BaseException:
            # Whether the last piece has arrived is not known: nobody shall read this. It expires if this is lost, too.
            values.outbox.send("UNLINK", f"blob:{name}")
            raise
        return BlobRef(uri=f"redis:{name}", size=size, media_type=self.media_type)
