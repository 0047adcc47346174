"""What servers send: chunks of a streamed completion, and whole ones. Only what is read is described.

Everything may be absent or null, for some server leaves it out; what is there must have the right type.
"""

from __future__ import annotations

from typing import Any

import orjson
from pydantic import BaseModel, ConfigDict, ValidationError

from services.responder.engines.upstream_errors import Broken


class _Read(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore")


class SentFunction(_Read):
    """The function of a call; its arguments as text, or as the object itself."""

    name: str | None = None
    arguments: str | dict[str, Any] | None = None


class SentCall(_Read):
    """A tool call or a piece of one."""

    index: int | None = None
    id: str | None = None
    function: SentFunction | None = None


class SentAudio(_Read):
    """Sound in base64, and what is said in it."""

    transcript: str | None = None
    data: str | None = None


class SentPart(_Read):
    """Content of servers that send it in parts."""

    type: str | None = None
    text: str | None = None


class Said(_Read):
    """A message, or what is new of it."""

    content: str | list[SentPart] | None = None
    refusal: str | None = None
    reasoning_content: Any = None
    reasoning: Any = None
    tool_calls: list[SentCall] | None = None
    audio: SentAudio | None = None

    @property
    def text(self) -> str:
        """The words of the content."""
        if isinstance(self.content, list):
            return "".join(part.text or "" for part in self.content if part.type in (None, "text", "output_text"))
        return self.content or ""

    @property
    def thought(self) -> str:
        """The words that are not part of the answer, as far as they are shown."""
        found = self.reasoning_content or self.reasoning
        return found if isinstance(found, str) else ""


class SentRating(_Read):
    """A token that might have been written."""

    token: str
    logprob: float
    bytes: list[int] | None = None


class SentToken(SentRating):
    """A token that was written."""

    top_logprobs: list[SentRating] | None = None


class SentLogprobs(_Read):
    """The tokens of the content."""

    content: list[SentToken] | None = None


class Choice(_Read):
    """One of the answers; only the first is read."""

    index: int | None = None
    delta: Said | None = None
    message: Said | None = None
    finish_reason: str | None = None
    logprobs: SentLogprobs | None = None


class SentDetails(_Read):
    """What the sums hold."""

    cached_tokens: int | None = None
    audio_tokens: int | None = None
    image_tokens: int | None = None
    reasoning_tokens: int | None = None


class SentUsage(_Read):
    """Tokens."""

    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    prompt_tokens_details: SentDetails | None = None
    completion_tokens_details: SentDetails | None = None


class Chunk(_Read):
    """A piece of a completion, or a whole one."""

    choices: list[Choice] | None = None
    usage: SentUsage | None = None
    system_fingerprint: str | None = None


def read_json(data: bytes) -> dict[str, Any]:
    """Return the object that `data` is. Raises `Broken`."""
    try:
        found = orjson.loads(data)
    except orjson.JSONDecodeError:
        raise Broken("sent malformed JSON") from None
    if not isinstance(found, dict):
        raise Broken("sent JSON that is no object")
    return found


def is_error(found: dict[str, Any]) -> bool:
    """Tell whether an object stands in the place of a chunk to say that something went wrong."""
    return bool(found.get("error")) or found.get("object") == "error"


def read_chunk(found: dict[str, Any]) -> Chunk:
    """Return what an object says. Raises `Broken`."""
    try:
        return Chunk.model_validate(found)
    except ValidationError as error:
        where = ".".join(str(part) for part in error.errors(include_url=False, include_input=False)[0]["loc"])
        raise Broken(f"sent a completion of the wrong shape (at {where[:100]})") from None
