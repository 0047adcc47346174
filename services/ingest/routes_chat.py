"""/chat/completions: a conversation in, its next message out."""

from __future__ import annotations

import asyncio
from functools import partial

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from services.ingest.access.principal import principal_of
from services.ingest.chat.answering import Chat, ChatResponse
from services.ingest.json_body import is_large, read_object
from services.ingest.naming import catalogue_of, deployed_model, model_name
from services.ingest.parameters.chat import read_chat
from services.ingest.parameters.fields import Members
from services.ingest.platform import platform_of

PATH = "/chat/completions"

router = APIRouter(prefix=PATH)


@router.post("")
async def create_completion(request: Request) -> Response:
    """Continue a conversation, in text or in speech."""
    platform, model = platform_of(request), deployed_model(request, "respond")
    body = await read_object(request, limit_bytes=platform.settings.chat.chat_body_bytes)
    name = model_name(request, Members(body).text("model"))
    model = model or catalogue_of(request).resolve(name, "respond")
    read = partial(read_chat, body, model.public, strict=platform.settings.strict)
    # Recordings in base64 take a while to decode; a thread takes longer to come and go than a few messages.
    asked = await asyncio.to_thread(read) if is_large(request) else read()
    if asked.store:
        platform.stored.check(asked.body)
    principal = principal_of(request)
    return ChatResponse(Chat(platform=platform, request=asked, model=model, name=name, principal=principal))
