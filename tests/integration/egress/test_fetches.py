"""Files that are fetched from hosts of strangers."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from antiphon.egress import Egress, EgressBlocked, EgressSettings, Fetched, open_egress
from antiphon.egress import egress as egress_module
from antiphon.errors import InvalidValue, Unavailable
from tests.integration.egress.conftest import Answer, Names, Pieces, host, response, says

pytestmark = pytest.mark.integration

FILE = os.urandom(300_000)


@pytest_asyncio.fixture
async def egress() -> AsyncIterator[Egress]:
    """A client for which 127.0.0.1 is allowed and no other address of this machine."""
    names = Names(files_example=["127.0.0.1"], other_example=["127.0.0.1"], inside_example=["127.0.0.2"])
    async with open_egress(EgressSettings(egress_allow=("127.0.0.1/32",)), resolve=names) as egress:
        yield egress


async def fetch(
    egress: Egress, url: str, *, max_bytes: int = 1_000_000, timeout_s: float = 10
) -> tuple[bytes, Fetched]:
    pieces = Pieces()
    fetched = await egress.fetch(url, pieces.write, max_bytes=max_bytes, timeout_s=timeout_s, param="audio")
    return bytes(pieces.data), fetched


async def _chunked(request: bytes, writer: asyncio.StreamWriter) -> None:
    writer.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nContent-Type: audio/wav\r\n\r\n")
    for start in range(0, len(FILE), 7001):
        piece = FILE[start : start + 7001]
        writer.write(f"{len(piece):x}\r\n".encode() + piece + b"\r\n")
    writer.write(b"0\r\n\r\n")


async def _until_closed(request: bytes, writer: asyncio.StreamWriter) -> None:
    writer.write(b"HTTP/1.0 200 OK\r\nContent-Type: audio/wav\r\n\r\n" + FILE)
    await writer.drain()
    writer.close()


@pytest.mark.parametrize("answer", [says("200 OK", FILE, Content_Type="audio/wav"), _chunked, _until_closed])
async def test_a_file_arrives_as_it_is(egress: Egress, answer: Answer) -> None:
    async with host(answer) as files:
        data, fetched = await fetch(egress, f"http://files.example:{files.port}/a%20b.wav?sig=%2B%3D")
    assert data == FILE
    assert fetched == Fetched(size=len(FILE), media_type="audio/wav")
    assert files.requests[0].startswith(b"GET /a%20b.wav?sig=%2B%3D HTTP/1.1\r\n")


@pytest.mark.parametrize("answer", [says("200 OK", FILE), _chunked, _until_closed])
async def test_a_file_of_just_the_limit_is_fetched_and_a_larger_one_is_not(egress: Egress, answer: Answer) -> None:
    async with host(answer) as files:
        url = f"http://files.example:{files.port}/"
        assert (await fetch(egress, url, max_bytes=len(FILE)))[0] == FILE
        with pytest.raises(InvalidValue, match="larger than 299999 bytes") as caught:
            await fetch(egress, url, max_bytes=len(FILE) - 1)
    assert caught.value.param == "audio"


async def test_a_file_without_end_is_given_up_at_the_limit(egress: Egress) -> None:
    async def flood(request: bytes, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\n\r\n")
        while True:
            writer.write(b"x" * 65_536)
            await writer.drain()

    pieces = Pieces()
    async with host(flood) as files:
        with pytest.raises(InvalidValue):
            await egress.fetch(f"http://files.example:{files.port}/", pieces.write, max_bytes=1_000_000)
    assert len(pieces.data) <= 1_000_000


async def test_redirects_are_followed_wherever_they_are_allowed_to_lead(egress: Egress) -> None:
    async with host(says("200 OK", FILE)) as storage:

        async def redirect(request: bytes, writer: asyncio.StreamWriter) -> None:
            steps = {b"/1": "/2?x=1", b"/2": "3", b"/3": f"http://other.example:{storage.port}/file"}
            path = request.split()[1].split(b"?")[0]
            writer.write(response("302 Found", b"moved", Location=steps[path]))

        async with host(redirect) as files:
            data, _ = await fetch(egress, f"http://files.example:{files.port}/1")
    assert data == FILE
    assert [request.split()[1] for request in files.requests] == [b"/1", b"/2?x=1", b"/3"]
    assert f"Host: other.example:{storage.port}".encode() in storage.requests[0]


@pytest.mark.parametrize(
    "location",
    [
        "http://inside.example:{port}/",
        "http://127.0.0.2:{port}/",
        "//inside.example:{port}/",
        "http://user:secret@files.example:{port}/",
        "file:///etc/passwd",
        "https://[::1]:{port}/",
        "http://[",
    ],
)
async def test_no_redirect_leads_inside(egress: Egress, location: str) -> None:
    async with (
        host(says("200 OK", b"secret"), address="127.0.0.2") as inside,
        host(says("301 Moved", Location=location.format(port=inside.port))) as files,
    ):
        with pytest.raises(InvalidValue) as caught:
            await fetch(egress, f"http://files.example:{files.port}/")
    assert (caught.value.param, inside.connections) == ("audio", 0)


async def test_redirects_in_a_circle_end(egress: Egress) -> None:
    async with host(says("302 Found", Location="/again")) as files:
        with pytest.raises(InvalidValue, match="redirects more than 5 times"):
            await fetch(egress, f"http://files.example:{files.port}/")
    assert len(files.requests) == 6


@pytest.mark.parametrize(
    "status",
    ["204 No Content", "206 Partial", "302 Found", "304 Not Modified", "403 Forbidden", "404 No", "410 Gone"],
)
async def test_what_is_no_file_will_not_become_one(egress: Egress, status: str) -> None:
    async with host(says(status)) as files:
        with pytest.raises(InvalidValue, match=status[:3]) as caught:
            await fetch(egress, f"http://files.example:{files.port}/")
    assert not caught.value.retryable


@pytest.mark.parametrize("status", ["408 Request Timeout", "429 Too Many Requests", "500 Oops", "503 Unavailable"])
async def test_a_host_in_trouble_may_be_asked_again_when_it_says(egress: Egress, status: str) -> None:
    async with host(says(status, Retry_After="40")) as files:
        with pytest.raises(Unavailable, match=status.split(maxsplit=1)[0]) as caught:
            await fetch(egress, f"http://files.example:{files.port}/")
    assert caught.value.retry_after_s == 40
    async with host(says(status, Retry_After="99999999")) as files:
        with pytest.raises(Unavailable) as caught:
            await fetch(egress, f"http://files.example:{files.port}/")
    assert caught.value.retry_after_s == 600, "nobody may put a job off for ever"


async def test_a_file_that_breaks_off_may_be_whole_the_next_time(egress: Egress) -> None:
    async def break_off(request: bytes, writer: asyncio.StreamWriter) -> None:
        writer.write(response("200 OK", FILE)[:100_000])
        await writer.drain()
        writer.close()

    async with host(break_off) as files:
        with pytest.raises(Unavailable):
            await fetch(egress, f"http://files.example:{files.port}/")


async def test_compressed_files_are_refused(egress: Egress) -> None:
    async with host(says("200 OK", b"bomb", Content_Encoding="gzip")) as files:
        with pytest.raises(InvalidValue, match="compressed"):
            await fetch(egress, f"http://files.example:{files.port}/")
    assert b"Accept-Encoding: identity" in files.requests[0]


async def test_a_host_that_sends_drop_by_drop_is_given_up(egress: Egress, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(egress_module, "PATIENCE_S", 0.4)

    async def drip(request: bytes, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n")
        while True:
            writer.write(b"x")
            await writer.drain()
            await asyncio.sleep(0.02)

    began = asyncio.get_running_loop().time()
    async with host(drip) as files:
        with pytest.raises(Unavailable, match="in time"):
            await fetch(egress, f"http://files.example:{files.port}/", timeout_s=60)
    assert asyncio.get_running_loop().time() - began < 5


async def test_a_steady_host_may_take_longer_than_the_patience(egress: Egress, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(egress_module, "PATIENCE_S", 0.3)

    async def stroll(request: bytes, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 300000\r\n\r\n")
        for start in range(0, 300_000, 30_000):
            writer.write(FILE[start : start + 30_000])
            await writer.drain()
            await asyncio.sleep(0.1)

    async with host(stroll) as files:
        assert (await fetch(egress, f"http://files.example:{files.port}/"))[0] == FILE


async def test_the_whole_may_not_take_longer_than_it_is_given(egress: Egress) -> None:
    async def trickle(request: bytes, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\n\r\n")
        while True:
            writer.write(b"x" * 1000)
            await writer.drain()
            await asyncio.sleep(0.01)

    async with host(trickle) as files:
        with pytest.raises(Unavailable, match="in time"):
            await fetch(egress, f"http://files.example:{files.port}/", timeout_s=0.4)


async def test_a_sink_that_fails_fails_the_fetch_in_its_own_words(egress: Egress) -> None:
    async def full(piece: bytes) -> None:
        raise Unavailable("There is no room to keep the audio.")

    async with host(says("200 OK", FILE)) as files:
        with pytest.raises(Unavailable, match="no room"):
            await egress.fetch(f"http://files.example:{files.port}/", full, max_bytes=1_000_000)


async def test_a_forbidden_host_is_refused_by_the_name_of_the_parameter(egress: Egress) -> None:
    with pytest.raises(EgressBlocked) as caught:
        await fetch(egress, "https://inside.example/")
    assert caught.value.param == "audio"
