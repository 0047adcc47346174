"""Write, read and delete blobs wherever they lie."""

from __future__ import annotations

import asyncio
import base64
import binascii
import contextlib
import logging
import os
import re
import secrets
import tempfile
import time
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Protocol
from urllib.parse import unquote_to_bytes, urlsplit

import obstore
from obstore.exceptions import BaseError as StoreError
from obstore.store import LocalStore, S3Store

from antiphon.errors import InvalidValue, NotFound, Unavailable
from antiphon.schemas import BlobRef

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from datetime import timedelta

    from antiphon.settings import BlobSettings

logger = logging.getLogger(__name__)

_NAME = re.compile(r"[0-9]{8}/[0-9a-f]{32}")
_PART_BYTES = 1024 * 1024
_INLINE_LIMIT = 1024 * 1024
"""Bytes of a `data:` reference that are accepted."""


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
async def open_blobs(settings: BlobSettings, values: ValueStore) -> AsyncIterator[Blobs]:
    """Open the stores that the settings name. Raises `InvalidValue` for a URL that is neither a folder nor S3."""
    blobs = Blobs(settings, values)
    sweeper = asyncio.create_task(blobs.sweep(), name="blob-sweeper")
    try:
        yield blobs
    finally:
        sweeper.cancel()
        await asyncio.gather(sweeper, return_exceptions=True)


class Blobs:
    """The platform's payloads. References are `redis:KEY`, `file:NAME`, `s3:NAME` or an inline `data:` URL."""

    def __init__(self, settings: BlobSettings, values: ValueStore) -> None:
        self._settings = settings
        self._values = values
        self._scheme, self._large = _open_store(settings.blob_url)
        self._folder = Path(urlsplit(settings.blob_url or "").path) if self._scheme == "file" else None

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
        scheme, _, name = ref.uri.partition(":")
        if scheme == "data":
            return _read_inline(name)
        if scheme == "redis":
            found = await self._values.get(_redis_key(name))
            if found is None:
                raise NotFound("The audio of this job is no longer there.")
            return found
        store = self._store_of(scheme, name)
        try:
            result = await obstore.get_async(store, name)
            return bytes(await result.bytes_async())
        except FileNotFoundError as error:
            raise NotFound("The audio of this job is no longer there.") from error
        except StoreError as error:
            raise Unavailable("The blob store cannot be reached.") from error

    @asynccontextmanager
    async def local(self, ref: BlobRef) -> AsyncIterator[Path]:
        """Give a local file that holds the blob, for as long as the block lasts. Raises as `read` does."""
        scheme, _, name = ref.uri.partition(":")
        if scheme == "file" and self._folder is not None and _NAME.fullmatch(name):
            path = self._folder / name
            if not await asyncio.to_thread(path.is_file):
                raise NotFound("The audio of this job is no longer there.")
            yield path
            return
        data = await self.read(ref)
        path = await asyncio.to_thread(_spool, data)
        del data
        try:
            yield path
        finally:
            await asyncio.to_thread(path.unlink, missing_ok=True)

    async def delete(self, ref: BlobRef) -> None:
        """Forget a blob; one that is gone is no error. Raises `Unavailable`."""
        scheme, _, name = ref.uri.partition(":")
        if scheme == "redis":
            await self._values.drop(_redis_key(name))
        elif scheme != "data":
            try:
                await obstore.delete_async(self._store_of(scheme, name), name)
            except FileNotFoundError:
                return
            except StoreError as error:
                raise Unavailable("The blob store cannot be reached.") from error

    async def sweep(self) -> None:
        """Delete what has outlived its time in the folder; an S3 store has life-cycle rules of its own."""
        while self._folder is not None:
            try:
                removed = await asyncio.to_thread(_sweep, self._folder, self._settings.blob_ttl.total_seconds())
                if removed:
                    logger.info("old blobs were deleted", extra={"count": removed})
            except OSError as error:
                logger.warning("blobs cannot be swept", extra={"cause": str(error)})
            await asyncio.sleep(min(600.0, self._settings.blob_ttl.total_seconds() / 4))

    async def keep_small(self, data: bytes) -> str:
        """Put a small payload where it belongs; return its reference."""
        name = secrets.token_hex(16)
        await self._values.put(_redis_key(name), data, self._settings.blob_ttl)
        return f"redis:{name}"

    def begin_large(self) -> tuple[str, Sink]:
        """Begin a large payload; return its reference and what takes its pieces."""
        if self._large is None:
            name = secrets.token_hex(16)
            return f"redis:{name}", _ValueSink(self._values, _redis_key(name), self._settings.blob_ttl)
        name = f"{_today()}/{secrets.token_hex(16)}"
        return f"{self._scheme}:{name}", obstore.open_writer_async(self._large, name, buffer_size=8 * _PART_BYTES)

    def _store_of(self, scheme: str, name: str) -> LocalStore | S3Store:
        if scheme != self._scheme or self._large is None or not _NAME.fullmatch(name):
            raise InvalidValue("The audio reference names no store of this platform.", param="audio")
        return self._large


class Sink(Protocol):
    """What takes a large payload piece by piece."""

    async def write(self, data: bytes, /) -> object:
        """Take a piece."""

    async def close(self) -> None:
        """Make all pieces durable."""


class _ValueSink:
    """Lengthens one value, so that nobody but the server ever holds the whole."""

    def __init__(self, values: ValueStore, key: str, ttl: timedelta) -> None:
        self._values = values
        self._key = key
        self._ttl = ttl

    async def write(self, data: bytes, /) -> None:
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
        if len(self._held) > (self._small_limit if self._file is None else _PART_BYTES):
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


def _redis_key(name: str) -> str:
    if not re.fullmatch(r"[0-9A-Za-z_.-]{1,128}", name):
        raise InvalidValue("The audio reference names no key of this platform.", param="audio")
    return f"blob:{name}"


def _read_inline(rest: str) -> bytes:
    head, comma, payload = rest.partition(",")
    if not comma or len(payload) > _INLINE_LIMIT * 2:
        raise InvalidValue("The inline audio is malformed or larger than 1 MiB.", param="audio")
    try:
        return base64.b64decode(payload, validate=True) if head.endswith(";base64") else unquote_to_bytes(payload)
    except binascii.Error as error:
        raise InvalidValue("The inline audio is not valid base64.", param="audio") from error


def _spool(data: bytes) -> Path:
    handle, name = tempfile.mkstemp(prefix="antiphon-")
    with os.fdopen(handle, "wb") as file:
        file.write(data)
    return Path(name)


def _today() -> str:
    return time.strftime("%Y%m%d", time.gmtime())


def _sweep(folder: Path, ttl_s: float) -> int:
    limit, removed = time.time() - ttl_s, 0
    for path in folder.glob("[0-9]*/*"):
        # Every process of the platform sweeps: what is gone meanwhile has been swept by another.
        with contextlib.suppress(FileNotFoundError):
            if path.stat().st_mtime < limit:
                path.unlink()
                removed += 1
    for day in folder.glob("[0-9]*"):
        # A day that is over: nobody is about to write there.
        with contextlib.suppress(FileNotFoundError):
            if day.name < time.strftime("%Y%m%d", time.gmtime(limit)) and not any(day.iterdir()):
                day.rmdir()
    return removed
