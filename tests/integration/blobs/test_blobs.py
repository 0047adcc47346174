"""Payloads lie where their size belongs, for as long as they may, and nowhere else."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path

import pytest
import pytest_asyncio

from antiphon.blobs import Blobs, open_blobs
from antiphon.bus import Bus
from antiphon.errors import InvalidValue, NotFound, Unavailable
from antiphon.schemas import BlobRef
from antiphon.settings import BlobSettings, BusSettings
from tests.eventually import eventually
from tests.servers import Server

pytestmark = pytest.mark.integration

SMALL, LARGE = b"s" * 1000, bytes(range(256)) * 20_000


@pytest_asyncio.fixture
async def bus(server: Server) -> AsyncIterator[Bus]:
    async with Bus.open(BusSettings(redis_url=server.url)) as bus:
        yield bus


@pytest_asyncio.fixture
async def blobs(bus: Bus, tmp_path: Path) -> AsyncIterator[Blobs]:
    async with open_blobs(BlobSettings(blob_url=f"file://{tmp_path}"), bus.values) as blobs:
        yield blobs


def files(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*") if path.is_file()]


async def test_small_payloads_lie_in_redis_with_a_life_span(server: Server, blobs: Blobs, tmp_path: Path) -> None:
    ref = await blobs.put(SMALL, media_type="audio/wav")
    assert (ref.size, ref.media_type) == (1000, "audio/wav")
    assert ref.uri.startswith("redis:")
    assert await blobs.read(ref) == SMALL
    assert files(tmp_path) == []
    (key,) = server.do("KEYS", "blob:*")
    assert 0 < server.do("TTL", key) <= 24 * 3600


async def test_large_payloads_lie_in_the_folder(server: Server, blobs: Blobs, tmp_path: Path) -> None:
    ref = await blobs.put(LARGE)
    assert ref.uri.startswith("file:")
    assert ref.size == len(LARGE)
    assert await blobs.read(ref) == LARGE
    assert [path.stat().st_size for path in files(tmp_path)] == [len(LARGE)]
    assert server.do("KEYS", "blob:*") == []


@pytest.mark.parametrize("size", [0, 1, 64 * 1024, 64 * 1024 + 1, 1024 * 1024, 1024 * 1024 + 1, 10 * 1024 * 1024 + 7])
async def test_what_is_written_in_pieces_is_read_whole(blobs: Blobs, size: int) -> None:
    data = os.urandom(size)
    async with blobs.writer() as writer:
        for start in range(0, size, 100_003):
            await writer.write(data[start : start + 100_003])
        ref = await writer.commit()
    assert ref.size == size
    assert await blobs.read(ref) == data


@pytest.mark.parametrize("data", [SMALL, LARGE])
async def test_a_local_file_holds_the_blob_as_long_as_it_is_asked_for(blobs: Blobs, data: bytes) -> None:
    ref = await blobs.put(data)
    async with blobs.local(ref) as path:
        assert path.read_bytes() == data
    if ref.uri.startswith("redis:"):
        assert not path.exists()


@pytest.mark.parametrize("data", [SMALL, LARGE])
async def test_what_is_not_committed_is_gone(server: Server, blobs: Blobs, tmp_path: Path, data: bytes) -> None:
    with pytest.raises(RuntimeError):
        async with blobs.writer() as writer:
            await writer.write(data)
            raise RuntimeError("the client hung up")
    assert files(tmp_path) == []
    assert server.do("KEYS", "*") == []


async def test_an_upload_that_is_cancelled_leaves_nothing(server: Server, blobs: Blobs, tmp_path: Path) -> None:
    written = asyncio.Event()

    async def upload() -> None:
        async with blobs.writer() as writer:
            await writer.write(LARGE)
            written.set()
            await asyncio.sleep(3600)

    task = asyncio.create_task(upload())
    await written.wait()
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    await eventually(lambda: not files(tmp_path))
    assert server.do("KEYS", "*") == []


@pytest.mark.parametrize("data", [SMALL, LARGE])
async def test_a_deleted_blob_is_not_found_and_may_be_deleted_again(blobs: Blobs, data: bytes) -> None:
    ref = await blobs.put(data)
    await blobs.delete(ref)
    await blobs.delete(ref)
    with pytest.raises(NotFound):
        await blobs.read(ref)
    with pytest.raises(NotFound):
        async with blobs.local(ref):
            pass


REFUSED = [
    "file:../../etc/passwd",
    "file:/etc/passwd",
    "file:///etc/passwd",
    "file:20250101/../../x",
    "file:20250101/" + "0" * 31 + "/",
    "file:%2e%2e/x",
    "file:20250101/" + "0" * 32 + "\n",
    "redis:../x",
    "redis:",
    "redis:a b",
    "redis:result:{transcribe}:x",
    "s3:20250101/" + "0" * 32,
    "http://169.254.169.254/latest",
    "ftp:x",
    "none:x",
    "x",
    "data:;base64,%%%",
    "data:nothing",
]


@pytest.mark.parametrize("uri", REFUSED)
async def test_references_to_anything_else_are_refused(blobs: Blobs, uri: str) -> None:
    with pytest.raises(InvalidValue):
        await blobs.read(BlobRef(uri=uri))
    with pytest.raises(InvalidValue):
        async with blobs.local(BlobRef(uri=uri)):
            pass


@pytest.mark.parametrize("uri", [uri for uri in REFUSED if not uri.startswith("data:")])
async def test_nothing_else_can_be_deleted_either(blobs: Blobs, uri: str) -> None:
    with pytest.raises(InvalidValue):
        await blobs.delete(BlobRef(uri=uri))


async def test_inline_audio_is_read_and_bounded(blobs: Blobs) -> None:
    assert await blobs.read(BlobRef(uri="data:audio/wav;base64,QUJD")) == b"ABC"
    assert await blobs.read(BlobRef(uri="data:;base64,QUJD")) == b"ABC"
    assert await blobs.read(BlobRef(uri="data:,A%42C")) == b"ABC"
    with pytest.raises(InvalidValue):
        await blobs.read(BlobRef(uri="data:;base64," + "A" * 3_000_000))


async def test_what_outlived_its_time_is_swept_and_the_rest_stays(bus: Bus, tmp_path: Path) -> None:
    settings = BlobSettings(blob_url=f"file://{tmp_path}", blob_ttl=timedelta(hours=1))
    async with open_blobs(settings, bus.values) as blobs:
        old, new = await blobs.put(LARGE), await blobs.put(LARGE)
        name = old.uri.partition(":")[2]
        two_hours_ago = time.time() - 7200
        os.utime(tmp_path / name, (two_hours_ago, two_hours_ago))
    async with open_blobs(settings, bus.values) as blobs:
        await eventually(lambda: len(files(tmp_path)) == 1)
        assert await blobs.read(new) == LARGE
        with pytest.raises(NotFound):
            await blobs.read(old)


async def test_without_a_large_store_everything_lies_in_redis_for_its_time(server: Server, bus: Bus) -> None:
    settings = BlobSettings(blob_url=None, blob_ttl=timedelta(minutes=5))
    async with open_blobs(settings, bus.values) as blobs:
        ref = await blobs.put(LARGE)
        assert await blobs.read(ref) == LARGE
        async with blobs.local(ref) as path:
            assert path.read_bytes() == LARGE
    for key in server.do("KEYS", "*"):
        assert 0 < server.do("TTL", key) <= 300


async def test_a_full_or_absent_server_is_unavailable(own_server: Server, tmp_path: Path) -> None:
    settings = BlobSettings(blob_url=f"file://{tmp_path}")
    async with (
        Bus.open(BusSettings(redis_url=own_server.url)) as bus,
        open_blobs(settings, bus.values) as blobs,
    ):
        own_server.do("CONFIG", "SET", "maxmemory", "1")
        with pytest.raises(Unavailable):
            await blobs.put(SMALL)
        own_server.kill()
        with pytest.raises(Unavailable):
            await blobs.put(SMALL)
        assert await blobs.read(await blobs.put(LARGE)) == LARGE, "the folder does without the server"


@pytest.mark.parametrize("url", ["http://x/y", "file:", "s3:", "gopher://x", "/tmp/x"])
async def test_a_store_that_is_neither_folder_nor_bucket_is_refused(bus: Bus, url: str) -> None:
    with pytest.raises(InvalidValue):
        async with open_blobs(BlobSettings(blob_url=url), bus.values):
            pass


@pytest.mark.parametrize("data", [b"", SMALL, LARGE])
async def test_a_blob_is_read_piece_by_piece(blobs: Blobs, data: bytes) -> None:
    ref = await blobs.put(data)
    pieces = [piece async for piece in blobs.read_pieces(ref)]
    assert b"".join(pieces) == data
    assert max(map(len, pieces), default=0) <= 4 * 1024 * 1024


async def test_a_blob_that_is_gone_is_missed_before_the_first_piece(blobs: Blobs) -> None:
    for data in (SMALL, LARGE):
        ref = await blobs.put(data)
        await blobs.delete(ref)
        with pytest.raises(NotFound):
            await anext(blobs.read_pieces(ref))


async def test_what_fails_inside_is_not_wrapped(bus: Bus, tmp_path: Path) -> None:
    with pytest.raises(KeyError):
        async with open_blobs(BlobSettings(blob_url=f"file://{tmp_path}"), bus.values):
            raise KeyError
