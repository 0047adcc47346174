"""Events that are posted to receivers."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from antiphon.egress import Egress, EgressBlocked, EgressSettings, Reply, open_egress
from antiphon.errors import InvalidValue, Unavailable
from tests.integration.egress.conftest import Answer, Names, host, response, says

pytestmark = pytest.mark.integration

ALLOW = EgressSettings(egress_allow=("127.0.0.1/32",))


@pytest_asyncio.fixture
async def egress() -> AsyncIterator[Egress]:
    """A client for which 127.0.0.1 is allowed and no other address of this machine."""
    async with open_egress(ALLOW, resolve=Names(hook_example=["127.0.0.1"], inside_example=["127.0.0.2"])) as egress:
        yield egress


async def post(
    egress: Egress, url: str, *, content: bytes = b"{}", timeout_s: float = 10, max_response_bytes: int = 1000
) -> Reply:
    headers = {"Content-Type": "application/json", "webhook-id": "evt_1"}
    return await egress.post(
        url, headers=headers, content=content, timeout_s=timeout_s, max_response_bytes=max_response_bytes
    )


async def test_a_receiver_gets_what_was_posted_under_its_own_name(egress: Egress) -> None:
    async with host(says("200 OK", b"thanks", X_Request_Id="7")) as receiver:
        url = f"http://hook.example:{receiver.port}/in?a=b%2Fc#part"
        reply = await post(egress, url, content='{"é": 1}'.encode())
    assert (reply.status_code, reply.body, reply.headers["x-request-id"]) == (200, b"thanks", "7")
    assert 0 <= reply.duration_ms < 10_000
    (request,) = receiver.requests
    head, _, body = request.partition(b"\r\n\r\n")
    lines = head.split(b"\r\n")
    assert lines[0] == b"POST /in?a=b%2Fc HTTP/1.1"
    assert f"Host: hook.example:{receiver.port}".encode() in lines
    assert b"webhook-id: evt_1" in lines
    assert body == '{"é": 1}'.encode()
    assert not any(line.lower().startswith((b"cookie", b"authorization")) for line in lines)


@pytest.mark.parametrize("status", ["302 Found", "404 Not Found", "410 Gone", "429 Too Many Requests", "503 Busy"])
async def test_every_status_is_an_answer_and_no_redirect_is_followed(egress: Egress, status: str) -> None:
    async with (
        host(says("200 OK")) as elsewhere,
        host(says(status, Location=f"http://hook.example:{elsewhere.port}/", Retry_After="7")) as receiver,
    ):
        reply = await post(egress, f"http://hook.example:{receiver.port}/")
    assert reply.status_code == int(status.split(maxsplit=1)[0])
    assert reply.retry_after_s == 7
    assert elsewhere.connections == 0


async def test_connections_are_kept_for_the_next_event(egress: Egress) -> None:
    async with host(says("204 No Content")) as receiver:
        for _ in range(5):
            assert (await post(egress, f"http://hook.example:{receiver.port}/")).status_code == 204
    assert (receiver.connections, len(receiver.requests)) == (1, 5)


async def test_an_answer_without_end_is_cut(egress: Egress) -> None:
    async def flood(request: bytes, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\n\r\n")
        while True:
            writer.write(b"x" * 65_536)
            await writer.drain()

    async with host(flood) as receiver:
        reply = await post(egress, f"http://hook.example:{receiver.port}/", max_response_bytes=100_000)
    assert (reply.status_code, reply.body) == (200, b"x" * 100_000)


async def test_who_has_sent_a_status_has_answered(egress: Egress) -> None:
    async def dangle(request: bytes, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 202 Accepted\r\nContent-Length: 100\r\n\r\nok")

    async with host(dangle) as receiver:
        reply = await post(egress, f"http://hook.example:{receiver.port}/", timeout_s=0.3)
    assert (reply.status_code, reply.body) == (202, b"ok")


async def _silence(request: bytes, writer: asyncio.StreamWriter) -> None:
    pass


async def _garbage(request: bytes, writer: asyncio.StreamWriter) -> None:
    writer.write(b"220 smtp.example ESMTP\r\n")


async def _hang_up(request: bytes, writer: asyncio.StreamWriter) -> None:
    writer.transport.abort()


async def _dawdle(request: bytes, writer: asyncio.StreamWriter) -> None:
    for byte in response("200 OK"):
        writer.write(bytes([byte]))
        await writer.drain()
        await asyncio.sleep(0.05)


async def _continue(request: bytes, writer: asyncio.StreamWriter) -> None:
    while True:
        writer.write(b"HTTP/1.1 100 Continue\r\n\r\n" * 100)
        await writer.drain()
        await asyncio.sleep(0.001)


async def _endless_head(request: bytes, writer: asyncio.StreamWriter) -> None:
    writer.write(b"HTTP/1.1 200 OK\r\n")
    while True:
        writer.write(b"X-Padding: " + b"x" * 8000 + b"\r\n")
        await writer.drain()


@pytest.mark.parametrize("answer", [_silence, _garbage, _hang_up, _dawdle, _continue, _endless_head])
async def test_what_is_no_answer_in_time_may_be_tried_again(egress: Egress, answer: Answer) -> None:
    began = asyncio.get_running_loop().time()
    async with host(answer) as receiver:
        with pytest.raises(Unavailable):
            await post(egress, f"http://hook.example:{receiver.port}/", timeout_s=0.5)
    assert asyncio.get_running_loop().time() - began < 5


async def test_a_host_that_is_away_or_unknown_may_be_tried_again(egress: Egress) -> None:
    async with host(_silence) as receiver:
        pass
    with pytest.raises(Unavailable):
        await post(egress, f"http://hook.example:{receiver.port}/")
    with pytest.raises(Unavailable):
        await post(egress, "https://nowhere.example/")


async def test_a_forbidden_address_is_not_dialled_and_not_named(egress: Egress) -> None:
    async with host(says("200 OK"), address="127.0.0.2") as inside:
        for url in (f"http://inside.example:{inside.port}/", f"http://127.0.0.2:{inside.port}/"):
            with pytest.raises(InvalidValue) as caught:
                await post(egress, url)
            assert "127" not in caught.value.message
    assert inside.connections == 0


async def test_a_name_that_moves_inside_is_not_followed() -> None:
    names = Names(moving_example=["127.0.0.1", "127.0.0.2"])
    async with (
        host(says("200 OK", Connection="close")) as outside,
        host(says("200 OK"), address="127.0.0.2", port=outside.port) as inside,
        open_egress(ALLOW, resolve=names) as egress,
    ):
        url = f"http://moving.example:{outside.port}/"
        assert (await post(egress, url)).status_code == 200
        assert names.asked == ["moving.example"], "the answer that was vetted is the one that is used"
        with pytest.raises(EgressBlocked):
            await post(egress, url)
    assert (outside.connections, inside.connections) == (1, 0)


async def test_without_permission_nothing_of_this_machine_is_dialled() -> None:
    names = Names(local_example=["127.0.0.1"], both_example=["127.0.0.1 ::1"], odd_example=["::ffff:127.0.0.1"])
    async with open_egress(EgressSettings(egress_allow=()), resolve=names) as egress:
        for url in ("https://local.example/", "https://both.example:8443/", "https://odd.example/"):
            with pytest.raises(EgressBlocked):
                await post(egress, url)


async def test_tls_asks_for_the_host_by_its_name_and_trusts_no_stranger(egress: Egress) -> None:
    hello = bytearray()

    async def greet(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        hello.extend(await reader.read(4096))
        writer.close()

    server = await asyncio.start_server(greet, "127.0.0.1", 0)
    async with server:
        port = server.sockets[0].getsockname()[1]
        with pytest.raises(Unavailable):
            await post(egress, f"https://hook.example:{port}/")
    assert hello[:1] == b"\x16", "a handshake"
    assert b"hook.example" in hello


async def test_proxies_of_the_environment_are_not_asked(egress: Egress, monkeypatch: pytest.MonkeyPatch) -> None:
    async with host(says("200 OK", b"proxy")) as proxy, host(says("200 OK", b"receiver")) as receiver:
        for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "HTTPS_PROXY"):
            monkeypatch.setenv(name, f"http://127.0.0.1:{proxy.port}")
        async with open_egress(ALLOW, resolve=Names(hook_example=["127.0.0.1"])) as fresh:
            assert (await post(fresh, f"http://hook.example:{receiver.port}/")).body == b"receiver"
    assert proxy.connections == 0
