"""What the model without weights says: a function of the request."""

from __future__ import annotations

import base64
import hashlib
import io
import math
import re
import struct
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

import av
import orjson
from av.audio.frame import AudioFrame

from tests.upstream.schemas import instance_of

TONE_RATE = 24_000
TONE_S = 0.06
"""Of tone for each word."""


class Refused(Exception):
    """The request is wrong; `param` says where."""

    def __init__(self, message: str, param: str | None = None, code: str | None = None) -> None:
        super().__init__(message)
        self.param = param
        self.code = code


@dataclass(frozen=True)
class Call:
    """A function to call."""

    id: str
    name: str
    arguments: str


@dataclass(frozen=True)
class Said:
    """A whole answer."""

    text: str = ""
    calls: tuple[Call, ...] = ()
    finish_reason: str = "stop"
    spoken: bool = False
    logprobs: bool = False
    prompt_tokens: int = 0
    prompt_audio_tokens: int = 0
    instructions: dict[str, str] = field(default_factory=dict)

    @property
    def tokens(self) -> list[str]:
        """The words of the text, each with the space before it."""
        return re.findall(r"\s*\S+|\s+$", self.text)

    @property
    def completion_tokens(self) -> int:
        return len(self.tokens) + sum(len(re.findall(r"\w+", call.name + call.arguments)) for call in self.calls)

    def pcm(self, words: int) -> bytes:
        """Return a tone for so many words: 16 bit, little-endian, mono, 24 kHz."""
        count = round(words * TONE_S * TONE_RATE)
        values = (round(9000 * math.sin(2 * math.pi * 440 * at / TONE_RATE)) for at in range(count))
        return struct.pack(f"<{count}h", *values)

    def usage(self) -> dict[str, Any]:
        return {
            "prompt_tokens": self.prompt_tokens,
            "completion_tokens": self.completion_tokens,
            "total_tokens": self.prompt_tokens + self.completion_tokens,
            "prompt_tokens_details": {"audio_tokens": self.prompt_audio_tokens, "cached_tokens": 0},
            "completion_tokens_details": {
                "audio_tokens": len(self.tokens) if self.spoken else 0,
                "reasoning_tokens": 0,
            },
        }


def read_instructions(model: str) -> dict[str, str]:
    """Return the instructions in a model's name, each with its argument."""
    pairs = (part.partition(":") for part in model.split("+"))
    return {name: argument for name, _, argument in pairs}


def answer(body: dict[str, Any]) -> Said:
    """Return what is said to a request. Raises `Refused` for one that a strict server refuses."""
    _check(body)
    messages = body["messages"]
    instructions = read_instructions(body.get("model", ""))
    clips = _clips(messages)
    text, calls = _say(body, messages, clips)
    if "style-long" in instructions:
        text, calls = " ".join(["word"] * int(instructions["style-long"] or 100)), ()
    text, finish = _cut(text, body)
    return Said(
        text=text,
        calls=calls,
        finish_reason="tool_calls" if calls else finish,
        spoken="audio" in body.get("modalities", ()),
        logprobs=bool(body.get("logprobs")),
        prompt_tokens=sum(len(_text(message).split()) + 4 for message in messages),
        prompt_audio_tokens=sum(math.ceil(seconds * 10) for seconds, _ in clips),
        instructions=instructions,
    )


def _check(body: dict[str, Any]) -> None:
    if not isinstance(body.get("messages"), list) or not body["messages"]:
        raise Refused("'messages' must not be empty.", "messages", "invalid_value")
    if "parallel_tool_calls" in body and not body.get("tools"):
        raise Refused("'parallel_tool_calls' is only allowed when 'tools' are specified.", "parallel_tool_calls")
    if "tool_choice" in body and not body.get("tools"):
        raise Refused("'tool_choice' is only allowed when 'tools' are specified.", "tool_choice")
    if "top_logprobs" in body and not body.get("logprobs"):
        raise Refused("'top_logprobs' needs 'logprobs'.", "top_logprobs")
    if "audio" in body.get("modalities", ()) and body.get("stream") and body["audio"]["format"] != "pcm16":
        raise Refused("'audio.format' must be 'pcm16' when stream=true.", "audio.format", "unsupported_value")
    if float(body.get("temperature", 0)) > 2:
        raise Refused("'temperature' must be at most 2.", "temperature", "invalid_value")
    known = {call["id"] for message in body["messages"] for call in message.get("tool_calls") or ()}
    for at, message in enumerate(body["messages"]):
        if message["role"] not in ("system", "developer", "user", "assistant", "tool"):
            raise Refused(f"Unknown role {message['role']!r}.", f"messages[{at}].role", "invalid_value")
        if message["role"] == "tool" and message.get("tool_call_id") not in known:
            raise Refused("There is no such call.", f"messages[{at}].tool_call_id", "invalid_value")
        if message.get("content") is None and not message.get("tool_calls"):
            raise Refused("There is no content.", f"messages[{at}].content", "invalid_value")


def _say(
    body: dict[str, Any], messages: list[dict[str, Any]], clips: list[tuple[float, str]]
) -> tuple[str, tuple[Call, ...]]:
    last = messages[-1]
    if last["role"] == "tool":
        return f"The function says: {_text(last)}", ()
    told = next((_text(message) for message in reversed(messages) if message["role"] == "user"), "")
    if calls := _calls(body, told):
        return "", calls
    wanted = body.get("response_format") or {}
    if wanted.get("type") == "json_schema":
        return orjson.dumps(instance_of(wanted["json_schema"]["schema"])).decode(), ()
    if wanted.get("type") == "json_object":
        return orjson.dumps({"answer": told}).decode(), ()
    heard = [f"I heard {seconds:.1f} seconds of {format}." for seconds, format in clips]
    echo = [f"You said: {told}"] if told else []
    return " ".join([*heard, *echo]) or "Hello.", ()


def _calls(body: dict[str, Any], told: str) -> tuple[Call, ...]:
    tools = [tool["function"] for tool in body.get("tools") or ()]
    choice = body.get("tool_choice", "auto")
    if isinstance(choice, dict):
        tools = [tool for tool in tools if tool["name"] == choice["function"]["name"]]
        if not tools:
            raise Refused("There is no such function.", "tool_choice", "invalid_value")
    elif choice == "required":
        tools = tools[:1]
    elif choice == "auto":
        tools = [tool for tool in tools if tool["name"].replace("_", " ") in told.lower().replace("_", " ")]
    else:
        tools = []
    if body.get("parallel_tool_calls") is False:
        tools = tools[:1]
    return tuple(
        Call(
            "call_" + hashlib.sha256(f"{at}{told}{tool['name']}".encode()).hexdigest()[:20],
            tool["name"],
            orjson.dumps(instance_of(tool.get("parameters") or {"type": "object"})).decode(),
        )
        for at, tool in enumerate(tools)
    )


def _cut(text: str, body: dict[str, Any]) -> tuple[str, str]:
    finish = "stop"
    stops = body.get("stop") or ()
    for stop in [stops] if isinstance(stops, str) else stops:
        text = text.partition(stop)[0]
    most = body.get("max_completion_tokens") or body.get("max_tokens")
    words = re.findall(r"\s*\S+|\s+$", text)
    if most is not None and len(words) > most:
        text, finish = "".join(words[:most]), "length"
    return text, finish


def _text(message: dict[str, Any]) -> str:
    content = message.get("content")
    if not isinstance(content, list):
        return content or ""
    return " ".join(part["text"] for part in content if part["type"] == "text")


def _clips(messages: list[dict[str, Any]]) -> list[tuple[float, str]]:
    """Return the seconds and the format of each recording in the last message of a user."""
    said = next((message["content"] for message in reversed(messages) if message["role"] == "user"), "")
    parts = said if isinstance(said, list) else []
    return [_clip(part["input_audio"]) for part in parts if part["type"] == "input_audio"]


def _clip(sent: dict[str, str]) -> tuple[float, str]:
    if sent["format"] not in ("wav", "mp3"):
        raise Refused("'format' must be 'wav' or 'mp3'.", "messages", "invalid_value")
    try:
        data = base64.b64decode(sent["data"], validate=True)
        with av.open(io.BytesIO(data), "r", format=sent["format"]) as media:
            seconds = sum((_seconds(frame) for frame in media.decode(audio=0)), 0.0)
    except (ValueError, av.error.FFmpegError):
        raise Refused("The audio cannot be decoded.", "messages", "invalid_value") from None
    return seconds, sent["format"]


def _seconds(frame: AudioFrame) -> float:
    return frame.samples / frame.sample_rate


def pieces(text: str, count: int) -> list[str]:
    """Return a text in about so many pieces."""
    ends = [round(len(text) * at / count) for at in range(count + 1)]
    return [text[start:end] for start, end in pairwise(ends) if end > start]
