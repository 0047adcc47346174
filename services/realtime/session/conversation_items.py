"""The items of a conversation: added, told, retrieved, truncated, deleted."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from typing import Any

from antiphon.errors import InvalidRequest, InvalidType, InvalidValue, UnsupportedValue
from antiphon.given import missing
from antiphon.realtime.items import read_item
from antiphon.realtime.refusals import RealtimeRefusal
from services.realtime.session.commands import CutAudio, FindAudio, ForgetAudio, GiveAudio, StopTranscribing
from services.realtime.session.heard_words import words_before
from services.realtime.session.stage import Stage
from services.realtime.session.state import Item

ROOT = "root"
MOST_ITEMS = 2_000
"""Items of one conversation; the oldest are forgotten without a word, as a model would not be given them any more."""
MOST_TEXT = 1_000_000
"""Characters of one item."""


class ConversationItems:
    """Keeps the items in order."""

    def __init__(self, stage: Stage) -> None:
        self._stage = stage

    # -- what clients want ---------------------------------------------------------------------------------------------

    def create(self, event: Mapping[str, Any]) -> Item:
        """Add the item of a `conversation.item.create`. Raises `InvalidRequest`."""
        wire = read_item(event.get("item"), param="item")
        given_id = wire.get("id")
        if given_id is not None and given_id in self._stage.items:
            raise RealtimeRefusal(
                f"Error adding item: an item with id '{given_id}' already exists.",
                code="item_create_duplicate_item_id",
                param="item.id",
            )
        previous = event.get("previous_item_id")
        place = self._place_behind(previous)
        self.check(wire)
        item, sounds = self.take(wire)
        self.insert(item, place)
        for index, audio in sounds.items():
            self._stage.order(GiveAudio(item.wire["id"], index, audio))
        return item

    def retrieve(self, event: Mapping[str, Any], event_id: str | None) -> None:
        """Have the audio of an item found, which is told with it. Raises `InvalidRequest`."""
        item_id = self._named(event, "item_retrieve_invalid_item_id")
        self._stage.order(FindAudio(item_id, event_id))

    def found(self, item_id: str, sounds: Mapping[int, bytes], event_id: str | None) -> None:
        """Tell an item with its audio."""
        item = self._stage.items.get(item_id)
        if item is None:
            raise _not_found(item_id, "item_retrieve_invalid_item_id")
        wire = dict(item.wire)
        if sounds and "content" in wire:
            wire["content"] = [
                {**part, "audio": base64.b64encode(sounds[index]).decode()} if sounds.get(index) else part
                for index, part in enumerate(item.wire["content"])
            ]
        self._stage.emit("conversation.item.retrieved", item=wire)

    def truncate(self, event: Mapping[str, Any]) -> None:
        """Forget what was not heard of an answer. Raises `InvalidRequest`."""
        item_id = event.get("item_id")
        item = self._stage.items.get(item_id) if isinstance(item_id, str) else None
        if item is None:
            raise _not_found(item_id, "item_truncate_invalid_item_id")
        index, end_ms = _number(event, "content_index", 0), _number(event, "audio_end_ms", None)
        content = item.wire.get("content") or []
        if item.wire["type"] != "message" or item.wire.get("role") != "assistant":
            raise InvalidValue("Only messages of the assistant can be truncated.", param="item_id")
        if index >= len(content) or content[index]["type"] != "output_audio":
            raise InvalidValue("There is no audio at this content index.", param="content_index")
        if end_ms > item.spoken_ms:
            raise InvalidValue(
                f"Audio content of {item.spoken_ms}ms is already shorter than {end_ms}ms", param="audio_end_ms"
            )
        item = self._stage.touch(item.wire["id"])
        content[index]["transcript"] = words_before(item.script, end_ms)
        item.script = [passage for passage in item.script if passage.start_ms < end_ms]
        item.spoken_ms, item.cut = end_ms, True
        self._stage.order(CutAudio(item.wire["id"], index, end_ms))
        self._stage.emit(
            "conversation.item.truncated", item_id=item.wire["id"], content_index=index, audio_end_ms=end_ms
        )

    def delete(self, event: Mapping[str, Any]) -> None:
        """Take an item out of the conversation. Raises `InvalidRequest`."""
        item_id = self._named(event, "item_delete_invalid_item_id")
        for response in self._stage.core.responses.values():
            if response.in_conversation and any(output.item_id == item_id for output in response.outputs):
                raise InvalidValue("An item of a response in progress cannot be deleted.", param="item_id")
        self.remove(item_id)
        self._stage.emit("conversation.item.deleted", item_id=item_id)

    # -- what the session itself does ----------------------------------------------------------------------------------

    def check(self, wire: Mapping[str, Any]) -> None:
        """Raise `InvalidRequest` for an item that this session cannot take."""
        if wire["type"] == "message":
            for index, part in enumerate(wire["content"]):
                if part["type"] == "input_image" and not self._stage.facts.sees:
                    raise UnsupportedValue(
                        "Image input is not supported by the model of this session.", param=f"item.content[{index}]"
                    )
        elif wire["type"] == "mcp_approval_response":
            self._check_approval(wire["approval_request_id"])
        elif wire["type"] == "function_call_output" and not any(
            item.wire["type"] == "function_call" and item.wire["call_id"] == wire["call_id"]
            for item in self._stage.items.values()
        ):
            raise RealtimeRefusal(
                f"No tool call with call_id '{wire['call_id']}' was found in the conversation.",
                code="invalid_tool_call_id",
                param="item.call_id",
            )

    def _check_approval(self, request_id: str) -> None:
        request = self._stage.items.get(request_id)
        if request is None or request.wire["type"] != "mcp_approval_request":
            raise InvalidValue(
                f"No approval request with id '{request_id}' was found in the conversation.",
                param="item.approval_request_id",
            )
        if any(item.wire.get("approval_request_id") == request_id for item in self._stage.items.values()):
            raise InvalidValue(
                f"The approval request '{request_id}' has been answered already.", param="item.approval_request_id"
            )

    def take(self, wire: dict[str, Any]) -> tuple[Item, dict[int, bytes]]:
        """Return a client's item as one of ours, and the audio of its parts."""
        clean: dict[str, Any] = {"id": wire.get("id") or self._stage.new_id("item"), "object": "realtime.item"}
        clean |= {name: value for name, value in wire.items() if name not in ("id", "object", "status")}
        clean["status"] = wire.get("status") or "completed"
        item, sounds = Item(clean), {}
        if wire["type"] == "message":
            parts = []
            for index, part in enumerate(wire["content"]):
                left = dict(part)
                if part["type"] == "input_audio":
                    audio = left.pop("audio", None)
                    sounds[index] = base64.b64decode(audio) if isinstance(audio, str) else audio or b""
                    left.setdefault("transcript", None)
                    if left["transcript"] is not None:
                        item.heard, item.transcript = "yes", left["transcript"]
                parts.append(left)
            clean["content"] = parts
        elif wire["type"] == "function_call":
            clean.setdefault("call_id", self._stage.new_id("call"))
        elif wire["type"] == "mcp_approval_response":
            del clean["status"], clean["object"]
        return item, {index: audio for index, audio in sounds.items() if audio}

    def insert(self, item: Item, place: int | None = None) -> None:
        """Put a complete item into the conversation and tell it."""
        previous = self.add(item, place)
        self.tell_done(item.wire["id"], previous)

    def add(self, item: Item, place: int | None = None) -> str | None:
        """Put an item into the conversation and tell that; return the one before it."""
        core = self._stage.core
        item_id = item.wire["id"]
        place = len(core.order) if place is None else place
        previous = core.order[place - 1] if place else None
        core.order.insert(place, item_id)
        if place < core.cut:
            core.cut += 1
        self._stage.items[item_id] = item
        self._stage.touch(item_id)
        self._stage.emit("conversation.item.added", previous_item_id=previous, item=_copy(item.wire))
        while len(core.order) > MOST_ITEMS:
            self.remove(core.order[0])
        return previous

    def tell_done(self, item_id: str, previous: str | None) -> None:
        """Tell that an item is complete."""
        self._stage.emit(
            "conversation.item.done", previous_item_id=previous, item=_copy(self._stage.items[item_id].wire)
        )

    def before(self, item_id: str) -> str | None:
        """Return the id of the item before one."""
        place = self._stage.core.order.index(item_id)
        return self._stage.core.order[place - 1] if place else None

    def remove(self, item_id: str) -> None:
        """Forget an item and all that belongs to it."""
        core = self._stage.core
        place = core.order.index(item_id)
        del core.order[place]
        if place < core.cut:
            core.cut -= 1
        item = self._stage.items.pop(item_id)
        self._stage.changed.add(item_id)
        if item.heard == "asked":
            self._stage.order(StopTranscribing(item_id, item.hearing))
            for response in core.responses.values():
                if item_id in response.awaited:
                    response.awaited.remove(item_id)
        self._stage.order(ForgetAudio(item_id))

    def _place_behind(self, previous: object) -> int | None:
        if previous is None:
            return None
        if previous == ROOT:
            return 0
        if isinstance(previous, str) and previous in self._stage.items:
            return self._stage.core.order.index(previous) + 1
        raise RealtimeRefusal(
            f"Previous item with id '{previous}' not found.",
            code="item_create_invalid_previous_item_id",
            param="previous_item_id",
        )

    def _named(self, event: Mapping[str, Any], code: str) -> str:
        item_id = event.get("item_id")
        if not isinstance(item_id, str) or item_id not in self._stage.items:
            raise _not_found(item_id, code)
        return item_id


def _copy(wire: Mapping[str, Any]) -> dict[str, Any]:
    """Return what is told now; the item may change before it is sent."""
    copied = dict(wire)
    if "content" in copied:
        copied["content"] = [dict(part) for part in copied["content"]]
    return copied


def _number(event: Mapping[str, Any], name: str, default: int | None) -> int:
    value = event.get(name, default)
    if value is None:
        raise missing(name)
    if isinstance(value, bool) or not isinstance(value, int):
        raise InvalidType(f"Invalid type for '{name}': expected an integer.", param=name)
    if value < 0:
        raise InvalidValue(f"Invalid value for '{name}': it must not be negative.", param=name)
    return value


def _not_found(item_id: object, code: str) -> InvalidRequest:
    if item_id is None:
        return missing("item_id")
    return RealtimeRefusal(f"Item with item_id '{item_id}' not found.", code=code, param="item_id")
