"""What clients send: events that are right, wrong, and broken, drawn by chance."""

from __future__ import annotations

import base64
import copy
from collections.abc import Callable
from dataclasses import dataclass, field
from random import Random
from typing import Any

Event = dict[str, Any]

WEATHER = {"type": "function", "name": "get_weather", "parameters": {"type": "object", "properties": {}}}
SERVER = {"type": "mcp", "server_label": "docs", "server_url": "https://example.com/mcp", "require_approval": "never"}
ASKING_SERVER = {**SERVER, "server_label": "files", "require_approval": "always"}
_PICTURE = {"type": "input_image", "image_url": "data:image/png;base64,AA=="}
_CLIP = base64.b64encode(bytes(9600)).decode()
_JUNK: tuple[Any, ...] = (
    None, True, -1, 0, 1.5, 1e30, "", "x", "é" * 700, [], {}, [[]], {"": None}, ["a", 1],
    {"type": "server_vad"}, "auto", "none",
)  # fmt: skip


@dataclass
class Known:
    """Ids that a client has been told."""

    items: list[str] = field(default_factory=list)
    responses: list[str] = field(default_factory=list)
    calls: list[str] = field(default_factory=list)
    approvals: list[str] = field(default_factory=list)


class Client:
    """Draws client events."""

    def __init__(self, rng: Random, kind: str) -> None:
        self._rng = rng
        self._kind = kind
        self.known = Known()
        self._sent = 0
        conversation: list[tuple[int, Callable[[], Event]]] = [
            (6, self._update),
            (8, self._say),
            (3, self._item),
            (3, self._output),
            (1, self._approve),
            (3, lambda: self._about("conversation.item.retrieve")),
            (3, self._truncate),
            (3, lambda: self._about("conversation.item.delete")),
            (12, self._respond),
            (5, self._cancel),
            (4, lambda: {"type": "input_audio_buffer.commit"}),
            (2, lambda: {"type": "input_audio_buffer.clear"}),
            (1, lambda: {"type": "output_audio_buffer.clear"}),
        ]
        transcription = [
            (6, self._update),
            (4, lambda: {"type": "input_audio_buffer.commit"}),
            (2, lambda: {"type": "input_audio_buffer.clear"}),
            (2, lambda: self._about("conversation.item.delete")),
            (1, lambda: self._about("conversation.item.retrieve")),
            (1, self._respond),
            (1, self._say),
        ]
        drawn = conversation if kind == "realtime" else transcription
        self._makers = [make for _, make in drawn]
        self._weights = [weight for weight, _ in drawn]

    def draw(self) -> Event:
        """Return the next event: right most of the time, else wrong somewhere."""
        (make,) = self._rng.choices(self._makers, self._weights)
        event = make()
        if self._rng.random() < 0.5:
            self._sent += 1
            event["event_id"] = f"client_{self._sent}"
        return _broken(copy.deepcopy(event), self._rng) if self._rng.random() < 0.15 else event

    def _pick(self, among: list[str], prefix: str = "item") -> str:
        return self._rng.choice(among) if among and self._rng.random() < 0.9 else f"{prefix}_nobody"

    def _update(self) -> Event:
        pick = self._rng.choice
        hearing: Event = {}
        if self._rng.random() < 0.6:
            hearing["turn_detection"] = pick((
                None,
                {"type": "server_vad", "silence_duration_ms": pick((64, 200, 500))},
                {"type": "server_vad", "create_response": pick((True, False))},
                {"type": "server_vad", "interrupt_response": pick((True, False))},
                {"type": "server_vad", "idle_timeout_ms": pick((None, 5000)), "prefix_padding_ms": pick((0, 300))},
                {"type": "semantic_vad", "eagerness": pick(("low", "medium", "high", "auto"))},
            ))  # fmt: skip
        if self._rng.random() < 0.4:
            model = pick(("whisper-1", "gpt-4o-transcribe", "nobody"))
            hearing["transcription"] = pick((None, {"model": model}, {"model": model, "language": "en"}))
        if self._rng.random() < 0.1:
            hearing["format"] = pick(({"type": "audio/pcmu"}, {"type": "audio/pcm", "rate": 24000}))
        if self._rng.random() < 0.1:
            hearing["noise_reduction"] = pick((None, {"type": "near_field"}))
        session: Event = {"type": self._kind, "audio": {"input": hearing}}
        if self._kind == "realtime":
            options: Event = {
                "output_modalities": pick((["text"], ["audio"])),
                "instructions": pick(("", "You are terse.")),
                "tools": pick(([], [WEATHER], [WEATHER, SERVER], [ASKING_SERVER])),
                "tool_choice": pick(("auto", "none", "required")),
                "max_output_tokens": pick((1, 100, "inf")),
                "truncation": pick(("auto", "disabled", {"type": "retention_ratio", "retention_ratio": 0.5})),
            }
            session |= {name: value for name, value in options.items() if self._rng.random() < 0.2}
            if self._rng.random() < 0.1:
                session["audio"]["output"] = {"voice": pick(("alloy", "marin"))}
        if self._rng.random() < 0.2:
            session["include"] = pick((None, ["item.input_audio_transcription.logprobs"]))
        return {"type": "session.update", "session": session}

    def _say(self) -> Event:
        return self._new(
            {"type": "message", "role": "user", "content": [{"type": "input_text", "text": "Hello there."}]}
        )

    def _item(self) -> Event:
        part = {"type": "input_audio", "audio": _CLIP}
        if self._rng.random() < 0.5:
            part["transcript"] = "Hello."
        return self._new(self._rng.choice((
            {"type": "message", "role": "system", "content": [_text("Be kind.")]},
            {"type": "message", "role": "assistant", "content": [{"type": "output_text", "text": "Yes."}]},
            {"type": "message", "role": "user", "content": [part, _text("What is this?")]},
            {"type": "message", "role": "user", "content": [_PICTURE]},
            {"type": "function_call", "call_id": "call_mine", "name": "get_weather", "arguments": "{}"},
        )))  # fmt: skip

    def _output(self) -> Event:
        call_id = self._pick(self.known.calls, "call")
        return self._new({"type": "function_call_output", "call_id": call_id, "output": "sunny"})

    def _approve(self) -> Event:
        request = self._pick(self.known.approvals, "mcpr")
        approve = self._rng.random() < 0.7
        return self._new({"type": "mcp_approval_response", "approval_request_id": request, "approve": approve})

    def _new(self, item: Event) -> Event:
        event: Event = {"type": "conversation.item.create", "item": item}
        if self._rng.random() < 0.2:
            item["id"] = self._rng.choice(("mine_1", "mine_2", "mine_3"))
        if self._rng.random() < 0.2:
            event["previous_item_id"] = self._rng.choice((None, "root", self._pick(self.known.items)))
        return event

    def _about(self, kind: str) -> Event:
        return {"type": kind, "item_id": self._pick(self.known.items)}

    def _truncate(self) -> Event:
        end_ms = self._rng.choice((0, 20, 200, 100_000))
        event = self._about("conversation.item.truncate")
        return {**event, "content_index": self._rng.choice((0, 0, 0, 1)), "audio_end_ms": end_ms}

    def _respond(self) -> Event:
        if self._rng.random() < 0.4:
            return {"type": "response.create"}
        pick = self._rng.choice
        message = {"type": "message", "role": "user", "content": [_text("Aside.")]}
        options: Event = {
            "conversation": pick(("auto", "none", "none")),
            "output_modalities": pick((["text"], ["audio"])),
            "instructions": "Shortly.",
            "tools": pick(([], [WEATHER])),
            "tool_choice": pick(("none", "auto")),
            "metadata": pick((None, {"topic": "aside"})),
            "input": pick(([], [message], [{"type": "item_reference", "id": self._pick(self.known.items)}])),
            "max_output_tokens": pick((1, "inf")),
        }
        response = {name: value for name, value in options.items() if self._rng.random() < 0.35}
        return {"type": "response.create", "response": response}

    def _cancel(self) -> Event:
        if self._rng.random() < 0.6:
            return {"type": "response.cancel"}
        return {"type": "response.cancel", "response_id": self._pick(self.known.responses, "resp")}


def _text(text: str) -> Event:
    return {"type": "input_text", "text": text}


def _broken(event: Event, rng: Random) -> Event:
    """Return an event with something in it replaced, left out or added."""
    for _ in range(rng.choice((1, 1, 2, 5))):
        place: Any = event
        while True:
            keys = list(place) if isinstance(place, dict) else list(range(len(place)))
            if not keys:
                break
            key = rng.choice(keys)
            deeper = place[key]
            if isinstance(deeper, dict | list) and deeper and rng.random() < 0.7:
                place = deeper
                continue
            how = rng.random()
            if how < 0.6:
                place[key] = copy.deepcopy(rng.choice(_JUNK))
            elif how < 0.8:
                del place[key]
            elif isinstance(place, dict):
                place[rng.choice(("foo", "type", "id", "audio", "item", "session"))] = copy.deepcopy(rng.choice(_JUNK))
            break
    return event
