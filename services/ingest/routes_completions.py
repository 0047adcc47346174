"""/chat/completions that were stored: read, listed, labelled and deleted by whoever made them."""

from __future__ import annotations

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from services.ingest.access.principal import tenant_of
from services.ingest.chat.pages import cut_messages, read_completion_query, read_label
from services.ingest.json_answers import json_answer, list_object
from services.ingest.json_body import read_object
from services.ingest.platform import platform_of

MAX_BODY_BYTES = 128 * 1024

router = APIRouter(prefix="/chat/completions")


@router.get("")
async def list_completions(request: Request) -> Response:
    """A page of completions, without the data of their audio. Raises `InvalidValue`."""
    query = read_completion_query(request.query_params)
    page = await platform_of(request).stored.page(query, tenant=tenant_of(request))
    return json_answer(list_object(page.completions, has_more=page.has_more))


@router.get("/{completion_id}")
async def retrieve_completion(request: Request, completion_id: str) -> Response:
    """One completion. Raises `CompletionNotFound`."""
    return json_answer(await platform_of(request).stored.get(completion_id, tenant=tenant_of(request)))


@router.post("/{completion_id}")
async def label_completion(request: Request, completion_id: str) -> Response:
    """Replace the metadata, and nothing else. Raises `CompletionNotFound`, `InvalidRequest`."""
    metadata = read_label(await read_object(request, limit_bytes=MAX_BODY_BYTES))
    return json_answer(await platform_of(request).stored.update(completion_id, metadata, tenant=tenant_of(request)))


@router.delete("/{completion_id}")
async def delete_completion(request: Request, completion_id: str) -> Response:
    """Forget a completion. Raises `CompletionNotFound`."""
    await platform_of(request).stored.delete(completion_id, tenant=tenant_of(request))
    return json_answer({"object": "chat.completion.deleted", "id": completion_id, "deleted": True})


@router.get("/{completion_id}/messages")
async def list_messages(request: Request, completion_id: str) -> Response:
    """A page of the messages that a completion answered. Raises `CompletionNotFound`, `InvalidValue`."""
    messages = await platform_of(request).stored.messages(completion_id, tenant=tenant_of(request))
    page, has_more = cut_messages(messages, request.query_params)
    return json_answer(list_object(page, has_more=has_more))
