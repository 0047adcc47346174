"""Conversation items as clients create them."""

from __future__ import annotations

import base64
from typing import Any

import pytest
from openai.types.realtime import ConversationItem
from pydantic import TypeAdapter

from antiphon.errors import InvalidRequest
from antiphon.realtime.items import LARGEST_IMAGE, read_item

pytestmark = pytest.mark.unit

_OFFICIAL: TypeAdapter[Any] = TypeAdapter(ConversationItem)
PICTURE = "data:image/png;base64," + base64.b64encode(b"\x89PNG\r\n\x1a\n" + bytes(8)).decode()


def message(role: str, *content: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"type": "message", "role": role, "content": list(content), **more}


@pytest.mark.parametrize(
    "item",
    [
        message("system", {"type": "input_text", "text": "hi"}),
        message(
            "user", {"type": "input_text", "text": "hi"}, {"type": "input_audio", "audio": "AAAA", "transcript": None}
        ),
        message("user", {"type": "input_image", "image_url": PICTURE, "detail": "low"}),
        message("assistant", {"type": "output_text", "text": "hi"}, phase="commentary"),
        {"type": "function_call", "call_id": "call_1", "name": "f", "arguments": "{}"},
        {"type": "function_call_output", "call_id": "call_1", "output": ""},
    ],
)
def test_an_item_comes_back_whole(item: dict[str, Any]) -> None:
    read = read_item(item)
    assert read == {**item, "object": "realtime.item", "status": "completed"}
    _OFFICIAL.validate_python({"id": "item_1", **read})
    with_id = {**item, "id": "mine", "object": "realtime.item", "status": "incomplete"}
    assert read_item(with_id) == with_id


def test_an_approval_is_an_item() -> None:
    item = {"type": "mcp_approval_response", "approval_request_id": "mcpr_1", "approve": False, "reason": "no"}
    assert read_item(item) == item
    assert read_item({**item, "id": "mine"})["id"] == "mine"


def test_what_is_null_says_nothing() -> None:
    part = {"type": "input_text", "text": "hi", "audio": None, "transcript": None}
    item = message("user", part, id=None, status=None, object=None)
    assert read_item(item)["content"] == [{"type": "input_text", "text": "hi"}]
    assert "id" not in read_item(item)


def test_what_the_assistant_said_may_be_told_again_as_text() -> None:
    item = message("assistant", {"type": "output_audio", "transcript": "Hello."})
    assert read_item(item)["content"] == [{"type": "output_text", "text": "Hello."}]


@pytest.mark.parametrize(
    ("item", "code", "param"),
    [
        (None, "missing_required_parameter", "item"),
        ("hi", "invalid_type", "item"),
        ({}, "missing_required_parameter", "item.type"),
        ({"type": "mcp_call"}, "invalid_value", "item.type"),
        ({"type": "message", "content": []}, "missing_required_parameter", "item.role"),
        (message("tool"), "invalid_value", "item.role"),
        (message("user"), "invalid_value", "item.content"),
        ({"type": "message", "role": "user", "content": "hi"}, "invalid_type", "item.content"),
        (message("user", {"type": "input_text", "text": "x"}, x=1), "unknown_parameter", "item.x"),
        (message("user", {"type": "input_text", "text": "x"}, id="x" * 65), "invalid_value", "item.id"),
        (message("user", {"type": "input_text", "text": "x"}, id=""), "invalid_value", "item.id"),
        (message("user", {"type": "input_text", "text": "x"}, id=7), "invalid_type", "item.id"),
        (message("user", {"type": "input_text", "text": "x"}, status="done"), "invalid_value", "item.status"),
        (message("user", {"type": "input_text", "text": "x"}, phase="commentary"), "unknown_parameter", "item.phase"),
        (message("user", {"type": "input_text"}), "missing_required_parameter", "item.content[0].text"),
        (message("user", {"type": "input_text", "text": 1}), "invalid_type", "item.content[0].text"),
        (
            message("user", {"type": "input_text", "text": "", "audio": "AA"}),
            "unknown_parameter",
            "item.content[0].audio",
        ),
        (message("user", {"type": "output_text", "text": ""}), "invalid_value", "item.content[0].type"),
        (message("system", {"type": "input_audio", "audio": "AAAA"}), "invalid_value", "item.content[0].type"),
        (message("user", {"type": "input_audio"}), "missing_required_parameter", "item.content[0].audio"),
        (message("user", {"type": "input_audio", "audio": "!"}), "invalid_value", "item.content[0].audio"),
        (message("assistant", {"type": "output_audio", "audio": "AAAA"}), "invalid_value", "item.content[0].audio"),
        (
            message("user", {"type": "input_image", "image_url": "https://a/b.png"}),
            "invalid_value",
            "item.content[0].image_url",
        ),
        (
            message("user", {"type": "input_image", "image_url": "data:image/png;base64,AAAA"}),
            "invalid_value",
            "item.content[0].image_url",
        ),
        (
            message("user", {"type": "input_image", "image_url": PICTURE + "A" * (LARGEST_IMAGE * 2)}),
            "invalid_value",
            "item.content[0].image_url",
        ),
        ({"type": "function_call", "name": "f"}, "missing_required_parameter", "item.arguments"),
        ({"type": "function_call", "name": "f", "arguments": "{"}, "invalid_value", "item.arguments"),
        ({"type": "function_call_output", "output": "x"}, "missing_required_parameter", "item.call_id"),
        ({"type": "function_call_output", "call_id": "c", "output": {}}, "invalid_type", "item.output"),
        (
            {"type": "mcp_approval_response", "approval_request_id": "r", "approve": "yes"},
            "invalid_type",
            "item.approve",
        ),
    ],
)
def test_a_wrong_item_is_refused_by_the_place_of_what_is_wrong(item: object, code: str, param: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        read_item(item)
    assert (caught.value.code, caught.value.param) == (code, param)
