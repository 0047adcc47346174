"""What is kept of a completion, and what is not: audio has a place and a life span of its own."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Self

import orjson

from antiphon.schemas import BlobRef

_ASKED: dict[str, Any] = {
    "frequency_penalty": 0.0,
    "presence_penalty": 0.0,
    "response_format": None,
    "seed": None,
    "temperature": 1.0,
    "tool_choice": None,
    "tools": None,
    "top_p": 1.0,
}
"""Parameters that a stored completion tells, with what holds when they are absent."""

_SAID = ("audio", "function_call", "refusal", "tool_call_id", "tool_calls")
"""Members of a message that it has only if they say something."""

_LONGEST_MEDIA_TYPE = 100


@dataclass(frozen=True, slots=True)
class StoredDocument:
    """A completion as it is shown, without the data of its audio; that lies in `sounds`, by choice."""

    shown: dict[str, Any]
    sounds: dict[int, BlobRef]
    expires_ms: int

    @classmethod
    def parse(cls, data: bytes) -> Self:
        """Return what `encode` encoded."""
        values = orjson.loads(data)
        sounds = {int(index): BlobRef.model_validate(ref) for index, ref in values["sounds"].items()}
        return cls(values["shown"], sounds, values["expires_ms"])

    def encode(self) -> bytes:
        """Return the document as it is kept."""
        sounds = {str(index): ref.model_dump(mode="json") for index, ref in self.sounds.items()}
        return orjson.dumps({"shown": self.shown, "sounds": sounds, "expires_ms": self.expires_ms})

    def with_metadata(self, metadata: Mapping[str, str]) -> StoredDocument:
        """Return the document with other metadata."""
        return StoredDocument(self.shown | {"metadata": dict(metadata)}, self.sounds, self.expires_ms)


def sounds_of(completion: Mapping[str, Any]) -> dict[int, str]:
    """Return the audio of a completion in base64, by the place of its choice."""
    found = {i: (choice["message"].get("audio") or {}).get("data") for i, choice in enumerate(completion["choices"])}
    return {i: data for i, data in found.items() if data}


def with_sounds(completion: Mapping[str, Any], data: Mapping[int, str]) -> dict[str, Any]:
    """Return a completion with this audio in base64 and no other; what has no audio at all is left as it is."""
    return {**completion, "choices": [_with_sound(c, data.get(i, "")) for i, c in enumerate(completion["choices"])]}


def described(completion: Mapping[str, Any], body: Mapping[str, Any], metadata: Mapping[str, str]) -> dict[str, Any]:
    """Return a completion as it is listed: without audio, with the parameters that it was asked for with."""
    return {**asked_for(body), **with_sounds(completion, {}), "metadata": dict(metadata)}


def asked_for(body: Mapping[str, Any]) -> dict[str, Any]:
    """Return the parameters of a request that a stored completion tells."""
    asked = {name: default if (value := body.get(name)) is None else value for name, default in _ASKED.items()}
    return asked | {"input_user": body.get("user")}


def kept_messages(completion_id: str, messages: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Return the messages of a request as they are listed.

    Recordings, files and pictures that came with the request are told of without their data: the next turn would
    bring all of them again, and nobody was promised that what people said is kept for a month.
    """
    return [_kept_message(f"{completion_id}-{i}", message) for i, message in enumerate(messages)]


def _with_sound(choice: dict[str, Any], data: str) -> dict[str, Any]:
    message = choice["message"]
    if not message.get("audio"):
        return choice
    return choice | {"message": message | {"audio": message["audio"] | {"data": data}}}


def _kept_message(message_id: str, message: Mapping[str, Any]) -> dict[str, Any]:
    content = message.get("content")
    parts = [_kept_part(part) for part in content] if isinstance(content, list) else None
    return {
        "id": message_id,
        "role": message.get("role"),
        "name": message.get("name"),
        "content": content if parts is None else None,
        "content_parts": parts,
        **{name: value for name in _SAID if (value := message.get(name)) is not None},
    }


def _kept_part(part: Mapping[str, Any]) -> Mapping[str, Any]:
    match part:
        case {"type": "input_audio", "input_audio": {"format": form}}:
            return {"type": "input_audio", "input_audio": {"data": "", "format": form}}
        case {"type": "image_url", "image_url": {"url": str(url), **others}} if url[:5].lower() == "data:":
            head = url[:_LONGEST_MEDIA_TYPE].partition(",")[0]
            return {"type": "image_url", "image_url": {"url": f"{head},", **others}}
        case {"type": "file", "file": {"file_data": _, **others}}:
            return {"type": "file", "file": {"file_data": "", **others}}
    return part
