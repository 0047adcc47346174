"""Read and delete blobs wherever they lie, and write them where they belong."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Protocol
from urllib.parse import urlsplit

import obstore
from obstore.exceptions import BaseError as StoreError
from obstore.store import LocalStore, S3Store

from antiphon.blobs.references import (
    is_large_name,
    is_url,
    new_large_name,
    new_small_name,
    read_inline,
    redis_key,
    split_reference,
)
from antiphon.blobs.spool import open_spool
from antiphon.blobs.sweeping import keep_swept
from antiphon.blobs.writer import PART_BYTES, BlobWriter, Sink, ValueSink
from antiphon.errors import InvalidValue, NotFound, Unavailable
from antiphon.schemas import BlobRef

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from datetime import timedelta

    from antiphon.egress import Egress
    from antiphon.settings import BlobSettings


class ValueStore(Protocol):
    """Where small payloads go."""

    async def put(self, key: str, data: bytes, ttl: timedelta) -> None:
        """Keep a value for a time."""

    async def append(self, key: str, data: bytes, ttl: timedelta) -> None:
        """Lengthen a value."""

    async def get(self, key: str) -> bytes | None:
        """Return a value that is still kept."""

    async def drop(self, key: str) -> None:
        """Forget a value."""


@asynccontextmanager
async def open_blobs(settings: BlobSettings, values: ValueStore, egress: Egress | None = None) -> AsyncIterator[Blobs]:
    """Open the stores that the settings name; without `egress`, what lies at a URL is refused.

    Raises `InvalidValue` for a store that is neither a folder nor S3.
    """
    blobs = Blobs(settings, values, egress)
    # An S3 store has life-cycle rules of its own.
    sweeping = keep_swept(blobs.folder, ttl_s=settings.blob_ttl.total_seconds()) if blobs.folder else None
    sweeper = asyncio.create_task(sweeping, name="blob-sweeper") if sweeping else None
    try:
        yield blobs
    finally:
        if sweeper is not None:
            sweeper.cancel()
            await asyncio.gather(sweeper, return_exceptions=True)


class Blobs:
    """The platform's payloads: `redis:KEY`, `file:NAME`, `s3:NAME`; and others': `https:…`, or inline as `data:…`."""

    def __init__(self, settings: BlobSettings, values: ValueStore, egress: Egress | None = None) -> None:
        self._settings = settings
        self._values = values
        self._egress = egress
        self._scheme, self._large = _open_store(settings.blob_url)
        self.folder = Path(urlsplit(settings.blob_url or "").path) if self._scheme == "file" else None

    async def put(self, data: bytes, *, media_type: str | None = None) -> BlobRef:
        """Keep `data`. Raises `Unavailable`."""
        async with self.writer(media_type=media_type) as writer:
            await writer.write(data)
            return await writer.commit()

    @asynccontextmanager
    async def writer(self, *, media_type: str | None = None) -> AsyncIterator[BlobWriter]:
        """Write a blob piece by piece; what is not committed when the block ends is discarded."""
        writer = BlobWriter(self, media_type=media_type, small_limit=self._settings.blob_inline_bytes)
        try:
            yield writer
        finally:
            await writer.discard()

    async def read(self, ref: BlobRef) -> bytes:
        """Return all of a blob. Raises `NotFound`, `InvalidValue`, `Unavailable`."""
        return b"".join([piece async for piece in self.read_pieces(ref)])

    async def read_pieces(self, ref: BlobRef) -> AsyncIterator[bytes]:
        """Yield a blob piece by piece; one in Redis is one piece. Raises as `read` does, before the first one."""
        scheme, name = split_reference(ref.uri)
        if scheme == "data":
            yield read_inline(name)
        elif scheme == "redis":
            found = await self._values.get(redis_key(name))
            if found is None:
                raise _gone()
            yield found
        elif is_url(scheme):
            async with self.local(ref) as path:
                with await asyncio.to_thread(path.open, "rb") as file:
                    while piece := await asyncio.to_thread(file.read, PART_BYTES):
                        yield piece
        else:
            store = self._store_of(scheme, name)
            try:
                result = await obstore.get_async(store, name)
                async for part in result.stream(min_chunk_size=PART_BYTES):
                    yield bytes(part)
            except FileNotFoundError as error:
                raise _gone() from error
            except StoreError as error:
                raise Unavailable("The blob store cannot be reached.") from error

    @asynccontextmanager
    async def local(self, ref: BlobRef) -> AsyncIterator[Path]:
        """Give the path of a file that holds the blob, for this process and as long as the block lasts.

        Raises as `read` does. What lies at a URL is fetched: one that will never give a recording is an
        `InvalidValue`, one that may do so later `Unavailable`.
        """
        scheme, name = split_reference(ref.uri)
        if scheme == "file" and self.folder is not None and is_large_name(name):
            path = self.folder / name
            if not await asyncio.to_thread(path.is_file):
                raise _gone()
            yield path
            return
        async with open_spool() as spool:
            if is_url(scheme):
                if self._egress is None:
                    raise InvalidValue("Audio at a URL is not fetched here.", param="audio")
                await self._egress.fetch(ref.uri, spool.write, max_bytes=self._settings.max_fetch_bytes, param="audio")
            else:
                async for piece in self.read_pieces(ref):
                    await spool.write(piece)
            yield await spool.path()

    def owns(self, ref: BlobRef) -> bool:
        """Tell whether a blob lies with the platform: not inline, and not at a URL."""
        scheme, _ = split_reference(ref.uri)
        return scheme != "data" and not is_url(scheme)

    async def delete(self, ref: BlobRef) -> None:
        """Forget a blob; one that is gone is no error. Raises `Unavailable`, `InvalidValue` for what is not ours."""
        scheme, name = split_reference(ref.uri)
        if scheme == "redis":
            await self._values.drop(redis_key(name))
        elif scheme != "data":
            try:
                await obstore.delete_async(self._store_of(scheme, name), name)
            except FileNotFoundError:
                return
            except StoreError as error:
                raise Unavailable("The blob store cannot be reached.") from error

    async def keep_small(self, data: bytes) -> str:
        """Put a small payload where it belongs; return its reference."""
        name = new_small_name()
        await self._values.put(redis_key(name), data, self._settings.blob_ttl)
        return f"redis:{name}"

    def begin_large(self) -> tuple[str, Sink]:
        """Begin a large payload; return its reference and what takes its pieces."""
        if self._large is None:
            name = new_small_name()
            return f"redis:{name}", ValueSink(self._values, redis_key(name), self._settings.blob_ttl)
        name = new_large_name()
        return f"{self._scheme}:{name}", obstore.open_writer_async(self._large, name, buffer_size=8 * PART_BYTES)

    def _store_of(self, scheme: str, name: str) -> LocalStore | S3Store:
        if scheme != self._scheme or self._large is None or not is_large_name(name):
            raise InvalidValue("The audio reference names no store of this platform.", param="audio")
        return self._large


def _open_store(url: str | None) -> tuple[str, LocalStore | S3Store | None]:
    if url is None:
        return "none", None
    parts = urlsplit(url)
    if parts.scheme == "file" and parts.path:
        return "file", LocalStore(prefix=parts.path, mkdir=True)
    if parts.scheme == "s3" and parts.netloc:
        # Endpoint, region and credentials come from the usual AWS_* variables.
        return "s3", S3Store(parts.netloc, prefix=parts.path.strip("/") or None)
    raise InvalidValue(f"ANTIPHON_BLOB_URL must be file:///folder or s3://bucket/prefix, not {url!r}")


def _gone() -> NotFound:
    return NotFound("The audio of this job is no longer there.")
