"""Functions that language models call, with a small real one: what it writes is always of the schema it was given."""

from __future__ import annotations

import time
from typing import Any

import httpx
import jsonschema
import openai
import orjson
import pytest

from tests.contract.chat_models import LOCAL
from tests.contract.chat_talk import at_once, says, streamed
from tests.contract.chat_tools import SCHEMAS, tool, wishes

pytestmark = [pytest.mark.contract, pytest.mark.timeout(300)]

CALLS = 50
AT_ONCE = 6
PATIENCE_S = 240.0
LIGHT: Any = tool("set_light")
RING: Any = {"type": "function", "function": {"name": "ring", "parameters": {"type": "object", "properties": {}}}}
WISH = "Set the light in the kitchen to 40 percent."


def arguments_of(message: dict[str, Any]) -> Any:
    """Return the arguments of the one call in a message, held to the schema of its function."""
    (call,) = message["tool_calls"]
    arguments = orjson.loads(call["function"]["arguments"])
    jsonschema.validate(arguments, SCHEMAS[call["function"]["name"]])
    return arguments


def test_every_call_has_arguments_of_its_schema(http: httpx.Client, capsys: pytest.CaptureFixture[str]) -> None:
    http.timeout = PATIENCE_S

    def call(case: tuple[int, tuple[str, str]]) -> str:
        at, (name, wish) = case
        body = {
            "model": LOCAL,
            "messages": [says(wish)],
            "tools": [tool(name)],
            "tool_choice": "required",
            "temperature": (0.0, 0.7, 1.2)[at % 3],
            "seed": at,
        }
        if at % 2:
            answer = streamed(http, body)
            assert answer.finish_reason == "tool_calls"
            (id_,) = [part["id"] for part in calls_in(answer.deltas) if "id" in part]
            name = "".join(part["function"].get("name", "") for part in calls_in(answer.deltas))
            written = "".join(part["function"]["arguments"] for part in calls_in(answer.deltas))
            message = {"tool_calls": [{"id": id_, "function": {"name": name, "arguments": written}}]}
        else:
            reply = http.post("/v1/chat/completions", json=body)
            assert reply.status_code == 200, reply.text
            (choice,) = reply.json()["choices"]
            assert choice["finish_reason"] == "tool_calls"
            message = choice["message"]
        arguments_of(message)
        return str(message["tool_calls"][0]["function"]["name"])

    started = time.monotonic()
    asked = wishes(CALLS)
    called = at_once(call, list(enumerate(asked)), most=AT_ONCE)
    with capsys.disabled():
        print(f"\n{CALLS} calls in {time.monotonic() - started:.1f} s")
    assert called == [name for name, _ in asked]


def calls_in(deltas: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [part for delta in deltas for part in delta.get("tool_calls") or ()]


def test_what_is_streamed_of_a_call_is_the_call(http: httpx.Client) -> None:
    body = {"model": LOCAL, "messages": [says(WISH)], "tools": [LIGHT], "tool_choice": "required", "temperature": 0}
    whole = http.post("/v1/chat/completions", json=body).json()["choices"][0]["message"]
    parts = calls_in(streamed(http, body).deltas)
    assert len(parts) > 2
    assert {part["index"] for part in parts} == {0}
    assert [part["function"]["name"] for part in parts if "name" in part["function"]] == ["set_light"]
    assert "".join(part["function"]["arguments"] for part in parts) == whole["tool_calls"][0]["function"]["arguments"]


def test_a_choice_is_kept_to(client: openai.OpenAI) -> None:
    def choose(choice: Any, wish: str) -> Any:
        answer = client.chat.completions.create(
            model=LOCAL,
            messages=[{"role": "user", "content": wish}],
            tools=[LIGHT, RING],
            tool_choice=choice,
            temperature=0,
            max_completion_tokens=40,
        )
        return answer.choices[0].message

    named = choose({"type": "function", "function": {"name": "ring"}}, WISH)
    assert [call.function.name for call in named.tool_calls] == ["ring"]
    unwanted = choose("none", "Say hi.")
    assert (unwanted.tool_calls, bool(unwanted.content)) == (None, True)
    free = choose("auto", WISH)
    assert free.content or arguments_of(free.to_dict())


def test_a_result_goes_back_to_the_model_and_is_told(client: openai.OpenAI) -> None:
    question: Any = {"role": "user", "content": "What will the weather be in Oslo tomorrow?"}
    forecast: Any = tool("get_forecast")
    first = client.chat.completions.create(
        model=LOCAL, messages=[question], tools=[forecast], tool_choice="required", temperature=0
    )
    message: Any = first.choices[0].message
    (call,) = message.tool_calls or [None]
    assert call is not None
    result: Any = {"role": "tool", "tool_call_id": call.id, "content": '{"weather": "thunderstorms"}'}
    second = client.chat.completions.create(
        model=LOCAL,
        messages=[question, message.to_dict(), result],
        tools=[forecast],
        tool_choice="none",
        temperature=0,
        max_completion_tokens=40,
    )
    assert "thunder" in (second.choices[0].message.content or "").lower()
