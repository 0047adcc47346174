"""Items and responses as clients are told of them."""

from __future__ import annotations

from typing import Any

from services.realtime.session.state import Item, Part, Response, Tally


def message_part(part: Part, text: str) -> dict[str, Any]:
    """Return a content part as `response.content_part.*` names it."""
    return {"type": "audio", "transcript": text} if part == "audio" else {"type": "text", "text": text}


def message_content(part: Part, text: str) -> dict[str, Any]:
    """Return a content part as items name it."""
    return {"type": "output_audio", "transcript": text} if part == "audio" else {"type": "output_text", "text": text}


def new_message(item_id: str) -> Item:
    """Return a message of the assistant that is about to be written."""
    return Item(
        {
            "id": item_id,
            "object": "realtime.item",
            "type": "message",
            "status": "in_progress",
            "role": "assistant",
            "content": [],
        }
    )


def new_function_call(item_id: str, *, call_id: str, name: str) -> Item:
    """Return a call of a function of the client's."""
    return Item(
        {
            "id": item_id,
            "object": "realtime.item",
            "type": "function_call",
            "status": "in_progress",
            "call_id": call_id,
            "name": name,
            "arguments": "",
        }
    )


def new_tool_use(item_id: str, *, kind: str, server: str, name: str, arguments: str = "") -> Item:
    """Return a call of an MCP tool, or the question whether it may be called."""
    return Item(
        {"id": item_id, "type": kind, "server_label": server, "name": name, "arguments": arguments}, server=server
    )


def response_wire(
    response: Response,
    *,
    conversation_id: str,
    output: list[dict[str, Any]],
    status: str = "in_progress",
    details: dict[str, Any] | None = None,
    usage: dict[str, Any] | None = None,
) -> dict[str, Any]:
    """Return a response."""
    settings = response.settings
    sound = settings["audio"]["output"]
    return {
        "object": "realtime.response",
        "id": response.id,
        "status": status,
        "status_details": details,
        "output": output,
        "conversation_id": conversation_id if response.in_conversation else None,
        "output_modalities": settings["output_modalities"],
        "max_output_tokens": settings["max_output_tokens"],
        "audio": {"output": {"format": sound["format"], "voice": sound["voice"]}},
        "usage": usage,
        "metadata": settings.get("metadata"),
    }


def usage_wire(tally: Tally, *, audio_out: int) -> dict[str, Any]:
    """Return what a response took, in tokens."""
    inputs, outputs = tally.text_in + tally.audio_in + tally.image_in, tally.text_out + audio_out
    return {
        "total_tokens": inputs + outputs,
        "input_tokens": inputs,
        "output_tokens": outputs,
        "input_token_details": {
            "text_tokens": tally.text_in,
            "audio_tokens": tally.audio_in,
            "image_tokens": tally.image_in,
            "cached_tokens": tally.cached,
            "cached_tokens_details": {"text_tokens": tally.cached, "audio_tokens": 0, "image_tokens": 0},
        },
        "output_token_details": {"text_tokens": tally.text_out, "audio_tokens": audio_out},
    }
