"""Servers that fail: each in its way, each with the right error, none with a hang."""

from __future__ import annotations

import asyncio
import socket
import time
from collections.abc import AsyncIterator

import pytest

from antiphon.errors import (
    AntiphonError,
    ContextTooLong,
    DeadlineExceeded,
    InvalidRequest,
    Overloaded,
    Unavailable,
    UpstreamFailed,
)
from antiphon.schemas import Message
from services.responder.engines import Piece, Prompt, TextPiece
from services.responder.engines.upstream import Upstream
from services.responder.engines.upstream_errors import UpstreamRefused
from tests.upstream import UpstreamServer, serving
from tests.upstream.asking import KEY, hear, opened, say, text_of

pytestmark = pytest.mark.integration

ECHO = "You said: Good morning to you."
IMPATIENT = {"first_token_s": 0.4, "next_token_s": 0.3}


@pytest.fixture
async def server() -> AsyncIterator[UpstreamServer]:
    async with serving() as upstream:
        yield upstream


async def failing(upstream: Upstream, prompt: Prompt | None = None) -> tuple[list[Piece], AntiphonError]:
    """Return what came before an answer failed, and its error."""
    pieces: list[Piece] = []
    with pytest.raises(AntiphonError) as caught:
        async for piece in upstream.respond(prompt or say()):
            pieces.append(piece)
    assert KEY not in caught.value.message
    return pieces, caught.value


@pytest.mark.parametrize(
    ("model", "kind", "attempts"),
    [
        ("fault-hang-up", Unavailable, 3),
        ("fault-status:500", Unavailable, 3),
        ("fault-status:503", Unavailable, 3),
        ("fault-status:408", Unavailable, 3),
        ("fault-status:409", Unavailable, 3),
        ("fault-status:429", Overloaded, 3),
        ("fault-429", Overloaded, 1),
        ("fault-status:400", InvalidRequest, 1),
        ("fault-status:401", UpstreamRefused, 1),
        ("fault-401", UpstreamRefused, 1),
        ("fault-status:403", UpstreamRefused, 1),
        ("fault-status:422", InvalidRequest, 1),
        ("fault-redirect", UpstreamRefused, 1),
        ("fault-context", ContextTooLong, 1),
        ("fault-html", UpstreamFailed, 1),
        ("fault-empty", UpstreamFailed, 3),
        ("fault-huge", UpstreamFailed, 1),
        ("fault-malformed", UpstreamFailed, 1),
        ("fault-type", UpstreamFailed, 1),
        ("fault-cut:0", UpstreamFailed, 3),
        ("fault-end:0", UpstreamFailed, 3),
        ("fault-error:0", Unavailable, 3),
        ("fault-slow", DeadlineExceeded, 1),
        ("fault-comments", DeadlineExceeded, 1),
        ("fault-silent:0", DeadlineExceeded, 1),
    ],
)
async def test_a_fault_before_the_first_word_is_tried_again_only_where_that_may_help(
    server: UpstreamServer, model: str, kind: type[AntiphonError], attempts: int
) -> None:
    patience = IMPATIENT if kind is DeadlineExceeded else {}
    async with opened(server.base_url, model, timeouts=patience, max_connections=1) as upstream:
        for round in (1, 2):
            pieces, error = await failing(upstream)
            assert pieces == []
            assert type(error) is kind
            assert len(server.asked) == round * attempts


@pytest.mark.parametrize(
    ("model", "kind"),
    [
        ("fault-cut", UpstreamFailed),
        ("fault-end", UpstreamFailed),
        ("fault-error", Unavailable),
        ("fault-malformed:3", UpstreamFailed),
        ("fault-type:3", UpstreamFailed),
        ("fault-silent", DeadlineExceeded),
    ],
)
async def test_a_fault_in_the_middle_is_never_tried_again(
    server: UpstreamServer, model: str, kind: type[AntiphonError]
) -> None:
    patience = {"next_token_s": 0.3} if kind is DeadlineExceeded else {}
    async with opened(server.base_url, model, timeouts=patience, max_connections=1) as upstream:
        for round in (1, 2):
            pieces, error = await failing(upstream)
            assert pieces == [TextPiece("You"), TextPiece(" said:"), TextPiece(" Good")]
            assert type(error) is kind
            assert len(server.asked) == round


@pytest.mark.parametrize("model", ["fault-once:500", "fault-once:429", "fault-once:409", "fault-hang-up-once"])
async def test_a_fault_that_passes_is_not_noticed(server: UpstreamServer, model: str) -> None:
    async with opened(server.base_url, model) as upstream:
        for _ in range(2):
            assert text_of(await hear(upstream)) == ECHO
    assert len(server.asked) == 4


async def test_attempts_wait_longer_each_time(server: UpstreamServer) -> None:
    async with opened(server.base_url, "fault-status:500", timeouts={"backoff_s": 0.2}) as upstream:
        started_s = time.monotonic()
        await failing(upstream)
        assert time.monotonic() - started_s >= 0.75 * (0.2 + 0.4)


async def test_a_wait_that_the_server_asks_for_is_kept(server: UpstreamServer) -> None:
    async with opened(server.base_url, "fault-status:503:1", timeouts={"first_token_s": 1.9}) as upstream:
        started_s = time.monotonic()
        _, error = await failing(upstream)
        assert 1.0 <= time.monotonic() - started_s < 1.9
    assert len(server.asked) == 2
    assert error.retry_after_s == 1.0


async def test_a_wait_that_is_too_long_is_passed_on(server: UpstreamServer) -> None:
    async with opened(server.base_url, "fault-429") as upstream:
        _, error = await failing(upstream)
    assert error.info().model_dump(include={"http_status", "code", "retryable", "retry_after_s"}) == {
        "http_status": 429,
        "code": "rate_limit_exceeded",
        "retryable": True,
        "retry_after_s": 30.0,
    }


async def test_no_attempt_is_made_that_would_come_too_late(server: UpstreamServer) -> None:
    patience = {"first_token_s": 5.0, "backoff_s": 8.0}
    async with opened(server.base_url, "fault-status:500", timeouts=patience) as upstream:
        started_s = time.monotonic()
        await failing(upstream)
        assert time.monotonic() - started_s < 4.0
    assert len(server.asked) == 1


async def test_the_operators_key_is_not_blamed_on_the_caller(server: UpstreamServer) -> None:
    async with opened(server.base_url, "fault-401") as upstream:
        _, error = await failing(upstream)
    info = error.info()
    assert (info.http_status, info.code, info.retryable) == (502, "upstream_error", False)
    assert "Incorrect" not in info.message


async def test_the_servers_own_words_reach_the_caller(server: UpstreamServer) -> None:
    async with opened(server.base_url) as upstream:
        answer = Message(role="tool", tool_call_id="unknown")
        _, error = await failing(upstream, Prompt(messages=(answer,)))
    assert (error.http_status, error.code) == (400, "invalid_value")
    assert (error.message, error.param) == ("There is no such call.", "messages[0].tool_call_id")


async def test_a_server_that_is_not_there_is_unavailable() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    async with opened(f"http://127.0.0.1:{port}/v1") as upstream:
        _, error = await failing(upstream)
    assert type(error) is Unavailable
    assert error.http_status == 503


async def test_a_server_that_comes_up_in_time_is_not_missed() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    async with opened(f"http://127.0.0.1:{port}/v1", timeouts={"backoff_s": 0.4}) as upstream:
        answer = asyncio.create_task(hear(upstream))
        await asyncio.sleep(0.1)
        async with serving(port):
            assert text_of(await answer) == ECHO


async def test_a_server_without_tls_where_tls_is_expected_is_unavailable() -> None:
    async def refuse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(1)
        writer.write(b"HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\n\r\n")
        writer.close()

    async with await asyncio.start_server(refuse, "127.0.0.1", 0) as listener:
        port = listener.sockets[0].getsockname()[1]
        async with opened(f"https://127.0.0.1:{port}/v1") as upstream:
            _, error = await failing(upstream)
    assert type(error) is Unavailable


async def test_a_server_that_accepts_and_never_answers_is_given_up() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        base_url = f"http://127.0.0.1:{listener.getsockname()[1]}/v1"
        async with opened(base_url, timeouts=IMPATIENT) as upstream:
            started_s = time.monotonic()
            _, error = await failing(upstream)
            assert time.monotonic() - started_s < 3.0
    assert type(error) is DeadlineExceeded
    assert error.http_status == 504


async def test_a_wrong_address_is_the_operators_mistake(server: UpstreamServer) -> None:
    async with opened(server.base_url, "fault-status:404") as upstream:
        _, error = await failing(upstream)
    assert type(error) is UpstreamRefused
    assert (error.http_status, error.retryable) == (502, False)
