"""Conversation items of the beta dialect and of GA, each as the other."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from antiphon.realtime.beta_names import PARTS

_FROM_ASSISTANT = {beta: ga for ga, beta in PARTS.items()}
_FROM_OTHERS = {"text": "input_text", "audio": "input_audio"}


def ga_item(item: object) -> object:
    """Return a client's item with its content parts named as in GA; what is not understood stays as it is."""
    if not isinstance(item, dict) or not isinstance(item.get("content"), list):
        return item
    names = _FROM_ASSISTANT if item.get("role") == "assistant" else _FROM_OTHERS
    content = [_renamed(part, names) for part in item["content"]]
    if item.get("type") in {"function_call", "function_call_output"} and not content:
        # Clients of old send one shape for all items.
        return {name: value for name, value in item.items() if name != "content"}
    return {**item, "content": content}


def ga_items(items: object) -> object:
    """Return a client's items as `ga_item` does each."""
    return [ga_item(item) for item in items] if isinstance(items, list) else items


def beta_item(item: Mapping[str, Any]) -> dict[str, Any] | None:
    """Return an item as beta has it, None for one that it has not."""
    if str(item.get("type", "")).startswith("mcp_"):
        return None
    flat = {name: value for name, value in item.items() if name != "phase"}
    if item.get("role") == "assistant":
        flat["content"] = [_renamed(part, PARTS) for part in item.get("content", ())]
    return flat


def _renamed(part: Any, names: Mapping[str, str]) -> Any:
    if not isinstance(part, dict) or not isinstance(part.get("type"), str):
        return part
    return {**part, "type": names.get(part["type"], part["type"])}
