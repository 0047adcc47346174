"""Answers of a server, from the first token to the last."""

from __future__ import annotations

import asyncio
import logging
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import aclosing
from typing import Any

import httpx
import jsonschema
import orjson
import pytest
from opentelemetry import trace

from antiphon.errors import Overloaded
from antiphon.schemas import Message, ReplyFormat, ReplyOptions, TextPart, Tool, ToolCall, ToolChoice
from services.responder.engines import CallPiece, End, Piece, Prompt, TextPiece
from services.responder.engines.upstream import Upstream
from tests.eventually import eventually
from tests.upstream import UpstreamServer, serving
from tests.upstream.asking import KEY, hear, opened, say, text_of

pytestmark = pytest.mark.integration

ECHO = "You said: Good morning to you."
WEATHER = {
    "type": "object",
    "properties": {"city": {"type": "string", "minLength": 6}, "unit": {"enum": ["celsius", "fahrenheit"]}},
    "required": ["city"],
    "additionalProperties": False,
}
ALARM = {"type": "object", "properties": {"hour": {"type": "integer", "minimum": 1}}, "required": ["hour"]}
TOOLS = (Tool(name="get_weather", parameters=WEATHER), Tool(name="set_alarm", parameters=ALARM))


@pytest.fixture
async def server() -> AsyncIterator[UpstreamServer]:
    async with serving() as upstream:
        yield upstream


def ended(pieces: list[Piece]) -> End:
    """Return the last piece."""
    end = pieces[-1]
    assert isinstance(end, End)
    return end


@pytest.mark.parametrize(
    "style",
    [
        "echo",
        "style-bytes",
        "style-crlf",
        "style-cr+style-bytes",
        "style-comments",
        "style-json",
        "style-azure",
        "style-reasoning",
        "style-counted",
        "style-uncounted",
        "style-no-done",
        "style-no-options",
        "style-azure+style-crlf+style-comments+style-no-done+style-bytes",
    ],
)
async def test_every_servers_stream_is_the_same_answer(server: UpstreamServer, style: str) -> None:
    async with opened(server.base_url, style) as upstream:
        pieces = await hear(upstream)
    assert text_of(pieces) == ECHO
    end = ended(pieces)
    assert (end.finish_reason, end.fingerprint) == ("stop", "fp_test")
    if not {"style-uncounted", "style-no-options"} & {*style.split("+")}:
        assert (end.usage.prompt_tokens, end.usage.completion_tokens) == (8, 6)
    assert end.usage.completion_tokens >= 6
    assert end.usage.reasoning_tokens == 0


async def test_the_first_word_comes_before_the_last_is_written(server: UpstreamServer) -> None:
    async with opened(server.base_url, "style-slow:30") as upstream, aclosing(upstream.respond(say())) as pieces:
        first = await anext(pieces)
        assert first == TextPiece("You")
        assert not server.last.answered
        assert text_of([first, *[piece async for piece in pieces]]) == ECHO


async def test_answers_follow_each_other_on_one_connection(server: UpstreamServer) -> None:
    async with opened(server.base_url) as upstream:
        for _ in range(5):
            await hear(upstream)
    assert server.connections == 1
    assert not any(asked.hung_up for asked in server.asked)


async def test_the_request_says_who_asks_and_carries_no_cookies(server: UpstreamServer) -> None:
    async with opened(server.base_url, headers={"X-Team": "voice", "User-Agent": "ours"}) as upstream:
        await hear(upstream)
        await hear(upstream)
    headers = server.last.headers
    assert headers["authorization"] == f"Bearer {KEY}"
    assert (headers["x-team"], headers["user-agent"]) == ("voice", "ours")
    assert headers["accept-encoding"] == "identity"
    assert "cookie" not in headers
    assert server.last.path == "/v1/chat/completions"


async def test_azure_is_asked_at_its_dated_address(server: UpstreamServer) -> None:
    azure = {"azure_api_version": "2024-10-21", "azure_deployment": "my gpt"}
    async with opened(server.root_url, "gpt-4o+style-azure", **azure) as upstream:
        assert text_of(await hear(upstream)) == ECHO
    assert server.last.path == "/openai/deployments/my%20gpt/chat/completions?api-version=2024-10-21"
    assert server.last.headers["api-key"] == KEY
    assert "authorization" not in server.last.headers


async def test_the_trace_goes_on(server: UpstreamServer) -> None:
    context = trace.SpanContext(0xABC, 0xDEF, is_remote=False, trace_flags=trace.TraceFlags(1))
    async with opened(server.base_url) as upstream:
        with trace.use_span(trace.NonRecordingSpan(context)):
            await hear(upstream)
        assert server.last.headers["traceparent"] == f"00-{0xABC:032x}-{0xDEF:016x}-01"
        await hear(upstream)
    assert "traceparent" not in server.last.headers


async def test_the_environments_proxy_is_used_only_when_the_operator_says_so(
    server: UpstreamServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTP_PROXY", f"http://127.0.0.1:{server.port}")
    monkeypatch.delenv("NO_PROXY", raising=False)
    monkeypatch.delenv("no_proxy", raising=False)
    async with opened(server.base_url) as upstream:
        await hear(upstream)
    assert server.last.path == "/v1/chat/completions"
    async with opened("http://llm.internal/v1", proxy_from_environment=True) as upstream:
        await hear(upstream)
    assert server.last.path == "http://llm.internal/v1/chat/completions"


@pytest.mark.parametrize("style", ["echo", "style-ollama", "style-unnumbered", "style-json", "style-bytes"])
async def test_tool_calls_are_valid_in_every_style(server: UpstreamServer, style: str) -> None:
    async with opened(server.base_url, style) as upstream:
        pieces = await hear(upstream, say("get_weather, then set alarm", tools=TOOLS))
        calls = [piece for piece in pieces if isinstance(piece, CallPiece)]
        assert [piece.name for piece in calls if piece.name] == ["get_weather", "set_alarm"]
        assert ended(pieces).finish_reason == "tool_calls"
        schemas: tuple[dict[str, Any], ...] = (WEATHER, ALARM)
        for index, schema in enumerate(schemas):
            arguments = "".join(piece.arguments for piece in calls if piece.index == index)
            jsonschema.validate(orjson.loads(arguments), schema)


async def test_a_function_that_must_be_called_is(server: UpstreamServer) -> None:
    options = ReplyOptions(tool_choice=ToolChoice(mode="required", names=("set_alarm",)))
    async with opened(server.base_url) as upstream:
        pieces = await hear(upstream, say("Hello.", tools=TOOLS, options=options))
    assert [piece.name for piece in pieces if isinstance(piece, CallPiece) and piece.name] == ["set_alarm"]


async def test_what_a_function_said_is_told(server: UpstreamServer) -> None:
    call = ToolCall(id="c1", name="set_alarm", arguments='{"hour":7}')
    messages = (
        *say().messages,
        Message(role="assistant", tool_calls=(call,)),
        Message(role="tool", tool_call_id="c1", content=(TextPart(text="done"),)),
    )
    async with opened(server.base_url) as upstream:
        assert text_of(await hear(upstream, Prompt(messages=messages, tools=TOOLS))) == "The function says: done"


async def test_an_answer_has_the_form_that_was_asked_for(server: UpstreamServer) -> None:
    form = ReplyFormat(type="json_schema", name="place", json_schema=WEATHER, strict=True)
    async with opened(server.base_url) as upstream:
        pieces = await hear(upstream, say(options=ReplyOptions(format=form)))
    jsonschema.validate(orjson.loads(text_of(pieces)), WEATHER)


async def test_limits_and_probabilities_are_passed_on(server: UpstreamServer) -> None:
    options = ReplyOptions(max_tokens=3, logprobs=True, top_logprobs=2, stop=("xyz",))
    async with opened(server.base_url, max_tokens_field="max_tokens") as upstream:
        pieces = await hear(upstream, say(options=options))
    assert text_of(pieces) == "You said: Good"
    assert ended(pieces).finish_reason == "length"
    tokens = [token for piece in pieces if isinstance(piece, TextPiece) for token in piece.logprobs]
    assert [token.token for token in tokens] == ["You", " said:", " Good"]
    assert all(len(token.top_logprobs) == 2 for token in tokens)


async def test_a_server_that_refuses_to_count_is_asked_once_only(server: UpstreamServer) -> None:
    async with opened(server.base_url, "style-no-options") as upstream:
        for _ in range(3):
            await hear(upstream)
    assert ["stream_options" in asked.body for asked in server.asked] == [True, False, False, False]


async def leave_by_closing(upstream: Upstream) -> None:
    async with aclosing(upstream.respond(say())) as pieces:
        await anext(pieces)


async def leave_by_cancelling(upstream: Upstream) -> None:
    begun = asyncio.Event()

    async def listen() -> None:
        async for _ in upstream.respond(say()):
            begun.set()

    task = asyncio.create_task(listen())
    await begun.wait()
    task.cancel()
    await asyncio.wait({task})
    assert task.cancelled()


@pytest.mark.parametrize("leave", [leave_by_closing, leave_by_cancelling])
async def test_a_listener_who_leaves_stops_the_server_at_once(
    server: UpstreamServer, leave: Callable[[Upstream], Awaitable[None]]
) -> None:
    async with opened(server.base_url, "style-long:1000+style-slow:20", max_connections=1) as upstream:
        for _ in range(2):
            await leave(upstream)
            await eventually(lambda: server.last.hung_up and server.in_flight == 0, within_s=3.0)
        assert len(server.asked) == 2


async def test_a_listener_who_leaves_before_the_first_word_stops_the_server_too(server: UpstreamServer) -> None:
    async with opened(server.base_url, "fault-slow:30") as upstream:
        task = asyncio.create_task(hear(upstream))
        await eventually(lambda: server.in_flight)
        task.cancel()
        await asyncio.wait({task})
        await eventually(lambda: server.last.hung_up, within_s=3.0)


async def test_a_slow_listener_is_not_the_servers_silence(server: UpstreamServer) -> None:
    async with opened(server.base_url, timeouts={"next_token_s": 0.3}) as upstream:
        pieces: list[Piece] = []
        async for piece in upstream.respond(say()):
            await asyncio.sleep(0.4 if len(pieces) < 2 else 0)
            pieces.append(piece)
    assert text_of(pieces) == ECHO


async def test_a_server_that_thinks_for_long_is_not_silent(server: UpstreamServer) -> None:
    patience = {"first_token_s": 0.45, "next_token_s": 1.0}
    async with opened(server.base_url, "style-reasoning+style-slow:200", timeouts=patience) as upstream:
        assert text_of(await hear(upstream)) == ECHO


async def test_no_more_answers_than_allowed_are_written_at_a_time(server: UpstreamServer) -> None:
    async with opened(server.base_url, "style-slow:10", max_connections=2) as upstream:
        answers = await asyncio.gather(*(hear(upstream) for _ in range(6)))
    assert [text_of(pieces) for pieces in answers] == [ECHO] * 6
    assert server.most_in_flight == 2
    assert server.connections == 2


async def test_who_finds_no_place_is_told_when_to_come_again(server: UpstreamServer) -> None:
    options: dict[str, Any] = {"max_connections": 1, "timeouts": {"place_s": 0.05}}
    async with opened(server.base_url, "style-long:1000+style-slow:20", **options) as upstream:
        async with aclosing(upstream.respond(say())) as pieces:
            await anext(pieces)
            with pytest.raises(Overloaded) as caught:
                await hear(upstream)
            assert caught.value.retry_after_s is not None
            assert 1 <= caught.value.retry_after_s <= 60
        async with aclosing(upstream.respond(say())) as pieces:
            await anext(pieces)
    assert len(server.asked) == 2


@pytest.mark.parametrize("model", ["echo", "fault-401", "fault-status:500", "fault-cut", "fault-hang-up"])
async def test_nothing_that_is_logged_or_told_holds_the_key(
    server: UpstreamServer, model: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    for name in ("httpx", "httpcore", "asyncio"):
        caplog.set_level(logging.DEBUG, logger=name)
    told = ""
    async with opened(server.base_url, model) as upstream:
        try:
            await hear(upstream)
        except Exception as error:
            logging.getLogger("a-handler").exception("failed")
            told = f"{error!r} {error.__cause__!r} {error.__context__!r}"
        told += repr(vars(upstream))
    assert KEY in str(server.last.headers)
    assert caplog.records
    assert KEY not in caplog.text + told
    assert not any(KEY in repr(vars(record)) for record in caplog.records)


async def test_the_server_of_the_tests_runs_on_its_own() -> None:
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "tests.upstream", "--port", "0", stdout=asyncio.subprocess.PIPE
    )
    try:
        assert process.stdout is not None
        base_url = (await process.stdout.readline()).decode().removeprefix("serving at ").strip()
        async with opened(base_url) as upstream:
            assert text_of(await hear(upstream)) == ECHO
        async with httpx.AsyncClient(trust_env=False) as client:
            root = base_url.removesuffix("/v1")
            [asked] = (await client.get(f"{root}/asked")).json()
            assert (asked["body"]["model"], asked["hung_up"]) == ("echo", False)
            await client.delete(f"{root}/asked")
            assert (await client.get(f"{root}/asked")).json() == []
    finally:
        process.terminate()
        assert await process.wait() == 0
