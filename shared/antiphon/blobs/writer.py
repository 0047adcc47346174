"""Blobs in the making."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Protocol

from obstore.exceptions import BaseError as StoreError

from antiphon.errors import Unavailable
from antiphon.schemas import BlobRef

if TYPE_CHECKING:
    from datetime import timedelta

    from antiphon.blobs.store import Blobs, ValueStore

logger = logging.getLogger(__name__)

PART_BYTES = 1024 * 1024


class Sink(Protocol):
    """What takes a large payload piece by piece."""

    async def write(self, data: bytes, /) -> object:
        """Take a piece."""

    async def close(self) -> None:
        """Make all pieces durable."""


class ValueSink:
    """Lengthens one value, so that nobody but the server ever holds the whole."""

    def __init__(self, values: ValueStore, key: str, ttl: timedelta) -> None:
        self._values = values
        self._key = key
        self._ttl = ttl

    async def write(self, data: bytes, /) -> None:
        """Append. Raises `Unavailable`."""
        await self._values.append(self._key, data, self._ttl)

    async def close(self) -> None:
        """Do nothing: every piece is kept already."""


class BlobWriter:
    """A blob in the making."""

    def __init__(self, blobs: Blobs, *, media_type: str | None, small_limit: int) -> None:
        self.size = 0
        self._blobs = blobs
        self._media_type = media_type
        self._small_limit = small_limit
        self._held = bytearray()
        self._uri: str | None = None
        self._file: Sink | None = None
        self._committed = False

    async def write(self, chunk: bytes) -> None:
        """Append. Raises `Unavailable`."""
        self.size += len(chunk)
        self._held += chunk
        if len(self._held) > (self._small_limit if self._file is None else PART_BYTES):
            await self._flush()

    async def commit(self) -> BlobRef:
        """Make the blob readable; return its reference. Raises `Unavailable`."""
        if self._file is None:
            uri = await self._blobs.keep_small(bytes(self._held))
        else:
            await self._flush()
            try:
                await self._file.close()
            except (StoreError, OSError) as error:
                raise Unavailable("The blob store cannot be written.") from error
            uri = self._uri or ""
        self._held.clear()
        self._committed = True
        return BlobRef(uri=uri, size=self.size, media_type=self._media_type)

    async def discard(self) -> None:
        """Throw away what was not committed."""
        if self._committed or self._file is None or self._uri is None:
            return
        try:
            # The store's writer has no abort: close it, then delete what it made.
            await self._file.close()
            await self._blobs.delete(BlobRef(uri=self._uri))
        except (StoreError, OSError, Unavailable) as error:
            logger.warning("an unfinished blob could not be deleted", extra={"cause": str(error)})

    async def _flush(self) -> None:
        try:
            if self._file is None:
                self._uri, self._file = self._blobs.begin_large()
            await self._file.write(bytes(self._held))
        except (StoreError, OSError) as error:
            raise Unavailable("The blob store cannot be written.") from error
        self._held.clear()
