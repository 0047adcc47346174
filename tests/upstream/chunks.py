"""An answer as the chunks of a stream, in the styles of several servers."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from typing import Any

import orjson

from tests.upstream.model import Said, pieces

Chunk = dict[str, Any]


def chunks_of(said: Said, model: str, *, counts: bool) -> Iterator[tuple[Chunk, bool]]:
    """Yield the chunks of a stream, and of each whether it is a token."""
    style = said.instructions
    frame = _Frame(model, said.usage() if "style-counted" in style else None)
    if "style-azure" in style:
        yield frame.of([]) | {"model": "", "prompt_filter_results": [{"prompt_index": 0}]}, False
    yield frame.delta({"role": "assistant", "content": "" if not said.spoken else None, "refusal": None}), False
    if "style-reasoning" in style:
        for thought in ("Let me", " think."):
            yield frame.delta({"content": None, "reasoning_content": thought}), True
    for token in said.tokens:
        if said.spoken:
            yield frame.delta({"audio": {"id": "audio_1", "transcript": token}}), True
            yield frame.delta({"audio": {"data": base64.b64encode(said.pcm(1)).decode()}}), False
        else:
            yield frame.delta({"content": token}, logprobs=_logprobs(token) if said.logprobs else None), True
    if said.spoken:
        yield frame.delta({"audio": {"expires_at": 1_900_000_000}}), False
    for delta in _calls(said):
        yield frame.delta(delta), True
    yield frame.delta({}, finish_reason=said.finish_reason), False
    if counts and "style-uncounted" not in style:
        yield frame.of([]) | {"usage": said.usage()}, False


def completion_of(said: Said, model: str) -> Chunk:
    """Return the answer at once."""
    message: Chunk = {"role": "assistant", "content": said.text or None, "refusal": None}
    if said.spoken:
        data = base64.b64encode(said.pcm(len(said.tokens))).decode()
        message["audio"] = {"id": "audio_1", "data": data, "expires_at": 1_900_000_000, "transcript": said.text}
        message["content"] = None
    if said.calls:
        message["tool_calls"] = [
            {"id": call.id, "type": "function", "function": {"name": call.name, "arguments": call.arguments}}
            for call in said.calls
        ]
    logprobs = {"content": [_rated(token) for token in said.tokens]} if said.logprobs else None
    choice = {"index": 0, "message": message, "finish_reason": said.finish_reason, "logprobs": logprobs}
    return _Frame(model, said.usage(), object="chat.completion").of([choice])


class _Frame:
    def __init__(self, model: str, usage: Chunk | None, *, object: str = "chat.completion.chunk") -> None:
        self._common = {
            "id": "chatcmpl-1",
            "object": object,
            "created": 1_800_000_000,
            "model": model,
            "system_fingerprint": "fp_test",
            "usage": usage,
        }

    def of(self, choices: list[Chunk]) -> Chunk:
        return self._common | {"choices": choices}

    def delta(self, delta: Chunk, *, finish_reason: str | None = None, logprobs: Chunk | None = None) -> Chunk:
        return self.of([{"index": 0, "delta": delta, "finish_reason": finish_reason, "logprobs": logprobs}])


def _calls(said: Said) -> Iterator[Chunk]:
    for index, call in enumerate(said.calls):
        whole = {"name": call.name, "arguments": call.arguments}
        if "style-ollama" in said.instructions:
            yield {"tool_calls": [{"index": 0, "id": call.id, "type": "function", "function": whole}]}
        elif "style-unnumbered" in said.instructions:
            yield {"tool_calls": [{"function": {"name": call.name, "arguments": orjson.loads(call.arguments)}}]}
        else:
            begin = {"name": call.name, "arguments": ""}
            yield {"tool_calls": [{"index": index, "id": call.id, "type": "function", "function": begin}]}
            for part in pieces(call.arguments, 4):
                yield {"tool_calls": [{"index": index, "function": {"arguments": part}}]}


def _logprobs(token: str) -> Chunk:
    return {"content": [_rated(token)], "refusal": None}


def _rated(token: str) -> Chunk:
    rated = {"token": token, "logprob": -0.25, "bytes": list(token.encode())}
    return rated | {"top_logprobs": [rated, {"token": "?", "logprob": -3.0, "bytes": None}]}
