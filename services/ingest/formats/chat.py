"""A chat completion as it is sent when it is whole, and what all its chunks have in common."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from antiphon.schemas import FinishReason, Reply, ToolCall, WrittenToken
from services.ingest.chat.request import ChatRequest
from services.ingest.formats.chat_usage import Usage


@dataclass(frozen=True, slots=True)
class AnswerAudio:
    """A spoken answer: a whole file in the format that was asked for. `expires_at` is in epoch seconds."""

    id: str
    data: bytes
    expires_at: int
    transcript: str


@dataclass(frozen=True)
class Completion:
    """The answer to a request. `created` is in epoch seconds; `fingerprint` is the model's, if known beforehand."""

    id: str
    created: int
    model: str
    request: ChatRequest
    fingerprint: str | None = None

    def whole(self, reply: Reply, *, usage: Usage, audio: AnswerAudio | None) -> dict[str, Any]:
        """Return the `chat.completion` object. What is said in `audio` is not repeated as text."""
        choice = {
            "index": 0,
            "message": _message(reply, audio),
            "logprobs": logprobs_object(reply.logprobs or ()),
            "finish_reason": reply.finish_reason,
        }
        body = self._body("chat.completion", [choice], reply.fingerprint) | {"usage": usage}
        return body | {"metadata": self.request.metadata} if self.request.metadata else body

    def chunk(
        self,
        delta: dict[str, Any],
        *,
        logprobs: Sequence[WrittenToken] = (),
        finish_reason: FinishReason | None = None,
        fingerprint: str | None = None,
    ) -> dict[str, Any]:
        """Return a `chat.completion.chunk` that adds `delta` to the answer."""
        choice = {
            "index": 0,
            "delta": delta,
            "logprobs": logprobs_object(logprobs),
            "finish_reason": finish_reason,
        }
        body = self._body("chat.completion.chunk", [choice], fingerprint)
        return body | {"usage": None} if self.request.include_usage else body

    def usage_chunk(self, usage: Usage, *, fingerprint: str | None = None) -> dict[str, Any]:
        """Return the chunk that tells the usage of the whole request."""
        return self._body("chat.completion.chunk", [], fingerprint) | {"usage": usage}

    def _body(self, kind: str, choices: list[dict[str, Any]], fingerprint: str | None) -> dict[str, Any]:
        body = {
            "id": self.id,
            "object": kind,
            "created": self.created,
            "model": self.model,
            "choices": choices,
            "service_tier": "default",
        }
        known = fingerprint or self.fingerprint
        # Absent rather than null, which the schema does not allow.
        return body | {"system_fingerprint": f"fp_{known.removeprefix('fp_')}"} if known else body


def logprobs_object(tokens: Sequence[WrittenToken]) -> dict[str, Any] | None:
    """Return log-probabilities as the API shows them, None when there are none."""
    if not tokens:
        return None
    return {"content": [_token(token) for token in tokens], "refusal": None}


def _token(token: WrittenToken) -> dict[str, Any]:
    return {
        "token": token.token,
        "logprob": token.logprob,
        "bytes": None if token.bytes is None else list(token.bytes),
        "top_logprobs": [
            {"token": top.token, "logprob": top.logprob, "bytes": None if top.bytes is None else list(top.bytes)}
            for top in token.top_logprobs
        ],
    }


def _message(reply: Reply, audio: AnswerAudio | None) -> dict[str, Any]:
    silent = audio is not None or (not reply.text and (reply.refusal or reply.tool_calls))
    message: dict[str, Any] = {
        "role": "assistant",
        "content": None if silent else reply.text,
        "refusal": reply.refusal or None,
        "annotations": [],
    }
    if audio is not None:
        message["audio"] = {
            "id": audio.id,
            "data": base64.b64encode(audio.data).decode(),
            "expires_at": audio.expires_at,
            "transcript": audio.transcript,
        }
    if reply.tool_calls:
        message["tool_calls"] = [_call(call) for call in reply.tool_calls]
    return message


def _call(call: ToolCall) -> dict[str, Any]:
    return {"id": call.id, "type": "function", "function": {"name": call.name, "arguments": call.arguments}}
