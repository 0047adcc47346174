"""Payloads that lie with somebody else."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path

import pytest
import pytest_asyncio

from antiphon.blobs import Blobs, open_blobs
from antiphon.egress import Egress, EgressSettings, open_egress
from antiphon.errors import InvalidValue, Unavailable
from antiphon.schemas import BlobRef
from antiphon.settings import BlobSettings
from tests.integration.egress.conftest import Names, host, says

pytestmark = pytest.mark.integration

FILE = os.urandom(3_000_000)
LIMITED = BlobSettings(max_fetch_bytes=len(FILE))


class NoValues:
    """Small payloads that nobody asks for."""

    async def put(self, key: str, data: bytes, ttl: timedelta) -> None:
        raise AssertionError

    async def append(self, key: str, data: bytes, ttl: timedelta) -> None:
        raise AssertionError

    async def get(self, key: str) -> bytes | None:
        raise AssertionError

    async def drop(self, key: str) -> None:
        raise AssertionError


@pytest_asyncio.fixture
async def egress() -> AsyncIterator[Egress]:
    names = Names(files_example=["127.0.0.1"], inside_example=["127.0.0.2"])
    async with open_egress(EgressSettings(egress_allow=("127.0.0.1/32",)), resolve=names) as egress:
        yield egress


@pytest_asyncio.fixture
async def blobs(egress: Egress) -> AsyncIterator[Blobs]:
    async with open_blobs(LIMITED, NoValues(), egress) as blobs:
        yield blobs


async def test_a_recording_at_a_url_is_a_local_file_for_a_while(blobs: Blobs, tmp_path: Path) -> None:
    async with host(says("200 OK", FILE)) as files:
        ref = BlobRef(uri=f"HTTP://files.example:{files.port}/a.wav")
        async with blobs.local(ref) as path:
            assert path.read_bytes() == FILE
            assert path.read_bytes() == FILE, "each reader begins at the beginning"
        assert await blobs.read(ref) == FILE
        assert b"".join([piece async for piece in blobs.read_pieces(ref)]) == FILE


async def test_what_is_fetched_has_no_name_that_could_outlive_the_process(
    blobs: Blobs, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    async with (
        host(says("200 OK", FILE)) as files,
        blobs.local(BlobRef(uri=f"http://files.example:{files.port}/")) as path,
    ):
        assert path.stat().st_size == len(FILE)
        assert list(tmp_path.iterdir()) == []


async def test_a_fetch_that_is_cancelled_ends_at_once(blobs: Blobs) -> None:
    asked = asyncio.Event()

    async def hang(request: bytes, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\n\r\n" + FILE)
        asked.set()

    async with host(hang) as files:
        task = asyncio.create_task(blobs.read(BlobRef(uri=f"http://files.example:{files.port}/")))
        await asyncio.wait_for(asked.wait(), 10)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await asyncio.wait_for(task, 5)


async def test_what_will_never_be_a_recording_is_the_callers_mistake(blobs: Blobs) -> None:
    async with host(says("404 Not Found")) as missing, host(says("200 OK", FILE + b"x")) as large:
        for url in (
            f"http://files.example:{missing.port}/",
            f"http://files.example:{large.port}/",
            "https://inside.example/",
            "https://127.0.0.2:22/",
            "https://169.254.169.254/",
            "http://files.example\\@inside.example/",
        ):
            with pytest.raises(InvalidValue) as caught:
                await blobs.read(BlobRef(uri=url))
            assert caught.value.param == "audio"


async def test_a_host_in_trouble_is_for_another_attempt(blobs: Blobs) -> None:
    async with host(says("503 Busy", Retry_After="3")) as busy:
        with pytest.raises(Unavailable) as caught:
            await blobs.read(BlobRef(uri=f"http://files.example:{busy.port}/"))
    assert caught.value.retry_after_s == 3
    with pytest.raises(Unavailable):
        await blobs.read(BlobRef(uri=f"http://files.example:{busy.port}/"))
    with pytest.raises(Unavailable):
        await blobs.read(BlobRef(uri="https://nowhere.example/"))


async def test_a_process_that_may_not_ask_outside_does_not(egress: Egress) -> None:
    async with host(says("200 OK", FILE)) as files, open_blobs(LIMITED, NoValues()) as blobs:
        with pytest.raises(InvalidValue):
            await blobs.read(BlobRef(uri=f"http://files.example:{files.port}/"))
    assert files.connections == 0


async def test_what_lies_with_somebody_else_is_not_ours_to_delete(blobs: Blobs) -> None:
    for uri in ("https://files.example/a", "http://files.example/a"):
        assert not blobs.owns(BlobRef(uri=uri))
        with pytest.raises(InvalidValue):
            await blobs.delete(BlobRef(uri=uri))
    assert not blobs.owns(BlobRef(uri="data:,x"))
    for uri in ("redis:x", "file:20260101/" + "0" * 32, "s3:20260101/" + "0" * 32):
        assert blobs.owns(BlobRef(uri=uri))
