"""What was asked for becomes what a language model is told."""

from __future__ import annotations

from collections.abc import Mapping

from antiphon.schemas import AudioPart, Message, Part, TextPart
from services.ingest.chat.remembered import RememberedAnswers
from services.ingest.chat.request import ChatRequest, Recording, SaidMessage


async def recall_answers(request: ChatRequest, remembered: RememberedAnswers, *, tenant: str) -> dict[str, str]:
    """Return what was said under each `audio.id` of the request. Raises `AudioNotFound`, `AudioExpired`."""
    recalled: dict[str, str] = {}
    for message in request.messages:
        if message.audio_id is not None and message.audio_id not in recalled:
            param = f"{message.param}.audio.id"
            recalled[message.audio_id] = await remembered.recall(message.audio_id, tenant=tenant, param=param)
    return recalled


def messages_of(
    request: ChatRequest, *, recordings: Mapping[str, AudioPart], recalled: Mapping[str, str]
) -> tuple[Message, ...]:
    """Return the conversation; `recordings` are by their places in the request, `recalled` by `audio.id`."""
    return tuple(_message(said, recordings, recalled) for said in request.messages)


def _message(said: SaidMessage, recordings: Mapping[str, AudioPart], recalled: Mapping[str, str]) -> Message:
    parts: list[Part] = [recordings[part.param] if isinstance(part, Recording) else part for part in said.parts]
    # What was spoken is also written, where a client sends both back.
    if said.audio_id is not None and not any(isinstance(part, TextPart) and part.text for part in parts):
        parts.append(TextPart(text=recalled[said.audio_id]))
    return Message(
        role=said.role,
        content=tuple(parts),
        tool_calls=said.tool_calls,
        tool_call_id=said.tool_call_id,
        name=said.name,
    )
