"""Conversation items as clients create them."""

from __future__ import annotations

import binascii
import re
from collections.abc import Callable
from typing import Any

import orjson

from antiphon.errors import InvalidValue
from antiphon.given import Given, missing

LONGEST_ID = 64
MOST_INPUT_ITEMS = 1000
MOST_PARTS = 100
LONGEST_TEXT = 1024 * 1024
LARGEST_AUDIO = 15 * 1024 * 1024
LARGEST_IMAGE = 5 * 1024 * 1024

_COMMON = ("type", "id", "object", "status")
_STATUSES = ("completed", "incomplete", "in_progress")
_PART = ("text", "audio", "transcript", "image_url", "detail")
_PARTS = {
    "system": ("input_text",),
    "user": ("input_text", "input_audio", "input_image"),
    "assistant": ("output_text", "output_audio"),
}
_PHASES = ("commentary", "final_answer")
_DETAILS = ("auto", "low", "high")
_LONGEST_NAME = 256
_IMAGE = re.compile(r"data:image/(png|jpe?g);base64,", re.IGNORECASE)
_IMAGE_HEADS = (b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff")


def read_item(value: object, *, param: str = "item") -> dict[str, Any]:
    """Return a client's item, checked: what it has said, and `object` and `status`, which is "completed" by default.

    `id` and `call_id` are there only if the client chose them. Audio stays base64. Raises `InvalidRequest`.
    """
    if value is None:
        raise missing(param)
    return _read(Given(value, param), _READERS)


def read_input(value: object, *, param: str = "response.input") -> list[dict[str, Any]]:
    """Return the items of which a response is to know instead of the conversation.

    `{"type": "item_reference", "id": …}` may be one. Raises `InvalidRequest`.
    """
    given = Given(value, param)
    return [_read(item, _READERS | {"item_reference": _reference}) for item in given.items(most=MOST_INPUT_ITEMS)]


def _read(given: Given, readers: dict[str, Callable[[Given], dict[str, Any]]]) -> dict[str, Any]:
    kind = given.required("type").choice(tuple(readers))
    return readers[kind](given)


def _begin(given: Given, *names: str) -> tuple[dict[str, Given], dict[str, Any]]:
    """Return the members of an item, which may be `names` and what all items have, and what all items are."""
    members = given.filled((*_COMMON, *names))
    item: dict[str, Any] = {"object": "realtime.item", "type": given.value["type"], "status": "completed"}
    if "id" in members:
        item = {"id": _id(members["id"]), **item}
    if "object" in members:
        members["object"].choice(("realtime.item",))
    if "status" in members:
        item["status"] = members["status"].choice(_STATUSES)
    return members, item


def _message(given: Given) -> dict[str, Any]:
    role = given.required("role").choice(tuple(_PARTS))
    members, item = _begin(given, "role", "content", *(("phase",) if role == "assistant" else ()))
    parts = given.required("content").items(least=1, most=MOST_PARTS)
    item |= {"role": role, "content": [_part(part, role) for part in parts]}
    if "phase" in members:
        item["phase"] = members["phase"].choice(_PHASES)
    if sum(len(part.get("text", "")) for part in item["content"]) > LONGEST_TEXT:
        raise InvalidValue(
            f"Invalid '{given.param}.content': too much text. At most {LONGEST_TEXT} characters are accepted.",
            param=f"{given.param}.content",
        )
    return item


def _function_call(given: Given) -> dict[str, Any]:
    members, item = _begin(given, "call_id", "name", "arguments")
    if "call_id" in members:
        item["call_id"] = _id(members["call_id"])
    item["name"] = given.required("name").text(least=1, longest=_LONGEST_NAME)
    arguments = given.required("arguments")
    item["arguments"] = arguments.text(longest=LONGEST_TEXT) or "{}"
    try:
        orjson.loads(item["arguments"])
    except orjson.JSONDecodeError:
        raise InvalidValue(f"Invalid '{arguments.param}': it is not valid JSON.", param=arguments.param) from None
    return item


def _function_call_output(given: Given) -> dict[str, Any]:
    _, item = _begin(given, "call_id", "output")
    item["call_id"] = _id(given.required("call_id"))
    return item | {"output": given.required("output").text(longest=LONGEST_TEXT)}


def _approval(given: Given) -> dict[str, Any]:
    members, item = _begin(given, "approval_request_id", "approve", "reason")
    # Items of MCP have neither in the schema of the API.
    del item["object"], item["status"]
    item["approval_request_id"] = _id(given.required("approval_request_id"))
    item["approve"] = given.required("approve").flag()
    if "reason" in members:
        item["reason"] = members["reason"].text(longest=LONGEST_TEXT)
    return item


def _reference(given: Given) -> dict[str, Any]:
    given.members(("type", "id"))
    return {"type": "item_reference", "id": _id(given.required("id"))}


_READERS: dict[str, Callable[[Given], dict[str, Any]]] = {
    "message": _message,
    "function_call": _function_call,
    "function_call_output": _function_call_output,
    "mcp_approval_response": _approval,
}


def _id(given: Given) -> str:
    return given.text(least=1, longest=LONGEST_ID)


def _part(given: Given, role: str) -> dict[str, Any]:
    kind = given.required("type").choice(_PARTS[role])
    match kind:
        case "input_text" | "output_text":
            given.filled(("type", "text"), tolerated=_nulls(given))
            return {"type": kind, "text": given.required("text").text(longest=LONGEST_TEXT)}
        case "input_image":
            return _image(given)
        case "output_audio":
            return _said(given)
        case _:
            return _recording(given)


def _recording(given: Given) -> dict[str, Any]:
    members = given.filled(("type", "audio", "transcript"), tolerated=_nulls(given))
    if "audio" not in members and "transcript" not in members:
        raise missing(f"{given.param}.audio")
    part: dict[str, Any] = {"type": "input_audio"}
    if "audio" in members:
        _decoded(members["audio"], most=LARGEST_AUDIO)
        part["audio"] = members["audio"].value
    transcript = members.get("transcript")
    return part | {"transcript": None if transcript is None else transcript.text(longest=LONGEST_TEXT)}


def _said(given: Given) -> dict[str, Any]:
    members = given.filled(("type", "audio", "transcript"), tolerated=_nulls(given))
    if "audio" in members:
        raise InvalidValue(
            "Audio of the assistant cannot be created by a client. Give what was said as 'output_text'.",
            param=members["audio"].param,
        )
    return {"type": "output_text", "text": given.required("transcript").text(longest=LONGEST_TEXT)}


def _image(given: Given) -> dict[str, Any]:
    members = given.filled(("type", "image_url", "detail"), tolerated=_nulls(given))
    address = given.required("image_url")
    if not isinstance(address.value, str):
        address.text(longest=0)
    head = _IMAGE.match(address.value)
    if head is None:
        raise InvalidValue(
            f"Invalid '{address.param}': expected a data URI of a PNG or JPEG image in base64.", param=address.param
        )
    picture = _decoded(Given(address.value[head.end() :], address.param), most=LARGEST_IMAGE)
    if not picture.startswith(_IMAGE_HEADS):
        raise InvalidValue(f"Invalid '{address.param}': it is neither a PNG nor a JPEG image.", param=address.param)
    part: dict[str, Any] = {"type": "input_image", "image_url": address.value}
    if "detail" in members:
        part["detail"] = members["detail"].choice(_DETAILS)
    return part


def _nulls(given: Given) -> list[str]:
    """Return what other kinds of parts have and a client has written out as null."""
    return [name for name in _PART if given.object().get(name, given) is None]


def _decoded(given: Given, *, most: int) -> bytes:
    # Four characters stand for three bytes.
    encoded = given.text(longest=most * 4 // 3 + 4)
    try:
        return binascii.a2b_base64(encoded, strict_mode=True) if encoded else b""
    except (binascii.Error, ValueError):
        raise InvalidValue(f"Invalid '{given.param}': it is not valid base64.", param=given.param) from None
