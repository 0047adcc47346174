"""/webhook_endpoints: who is told how jobs end, and what became of each delivery."""

from __future__ import annotations

import re
from typing import Any

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from antiphon.errors import InvalidRequest, InvalidValue, NotFound
from antiphon.given import shortened
from antiphon.schemas import JOB_EVENTS
from antiphon.webhooks import DeliveryAttempt, Endpoint
from services.ingest.access.principal import tenant_of
from services.ingest.json_answers import json_answer, list_object
from services.ingest.json_body import read_object
from services.ingest.parameters.pages import read_page
from services.ingest.parameters.webhooks import (
    read_endpoint_change,
    read_new_endpoint,
    read_rotation,
    read_test,
)
from services.ingest.platform import platform_of

MAX_BODY_BYTES = 64 * 1024
BY_OWNER = "disabled by its owner"

_DASHBOARD = "/openai/v1/dashboard/"
_ENTRY = re.compile(r"[0-9]{1,19}-[0-9]{1,19}")

router = APIRouter()


@router.get("/webhook_event_types")
async def list_event_types(request: Request) -> Response:
    """Every type of event that an endpoint may ask for."""
    return json_answer({"object": "list", "data": list(JOB_EVENTS)})


@router.get("/webhook_endpoints")
async def list_endpoints(request: Request) -> Response:
    """A page of the endpoints of this tenant, newest first. Raises `InvalidValue`."""
    page = read_page(request.query_params)
    listed = await platform_of(request).endpoints.list(tenant_of(request), dialect="standard")
    endpoints = listed[::-1]
    if page.after is not None:
        ids = [endpoint.id for endpoint in endpoints]
        if page.after not in ids:
            raise _unknown_place(page.after)
        endpoints = endpoints[ids.index(page.after) + 1 :]
    objects = [_endpoint_object(request, endpoint) for endpoint in endpoints[: page.limit]]
    return json_answer(list_object(objects, has_more=len(endpoints) > page.limit))


@router.post("/webhook_endpoints")
async def create_endpoint(request: Request) -> Response:
    """Register an endpoint; the answer is the first of two that tell its secret. Raises `InvalidRequest`."""
    wanted = read_new_endpoint(await _body(request))
    created = await platform_of(request).endpoints.create(
        tenant_of(request), name=wanted.name, url=wanted.url, event_types=wanted.event_types
    )
    return json_answer(_endpoint_object(request, created, with_secret=True))


@router.get("/webhook_endpoints/{endpoint_id}")
async def retrieve_endpoint(request: Request, endpoint_id: str) -> Response:
    """One endpoint. Raises `NotFound`."""
    return json_answer(_endpoint_object(request, await _find(request, endpoint_id)))


@router.post("/webhook_endpoints/{endpoint_id}")
async def change_endpoint(request: Request, endpoint_id: str) -> Response:
    """Change what the body names. Raises `NotFound`, `InvalidRequest`."""
    found, change = await _find(request, endpoint_id), read_endpoint_change(await _body(request))
    changed = await platform_of(request).endpoints.update(
        found.tenant, found.id, name=change.name, url=change.url, event_types=change.event_types
    )
    return json_answer(_endpoint_object(request, changed))


@router.delete("/webhook_endpoints/{endpoint_id}")
async def delete_endpoint(request: Request, endpoint_id: str) -> Response:
    """Forget an endpoint and its log. Raises `NotFound`."""
    found = await _find(request, endpoint_id)
    await platform_of(request).endpoints.delete(found.tenant, found.id)
    return json_answer({"id": found.id, "object": f"{_object_name(request)}.deleted", "deleted": True})


@router.post("/webhook_endpoints/{endpoint_id}/rotate_secret")
async def rotate_secret(request: Request, endpoint_id: str) -> Response:
    """Give an endpoint a new secret and tell it. Raises `NotFound`, `InvalidRequest`."""
    found, keep_old = await _find(request, endpoint_id), read_rotation(await _body(request))
    rotated = await platform_of(request).endpoints.rotate(found.tenant, found.id, keep_old=keep_old)
    return json_answer(_endpoint_object(request, rotated, with_secret=True))


@router.post("/webhook_endpoints/{endpoint_id}/test")
async def test_endpoint(request: Request, endpoint_id: str) -> Response:
    """Send a made-up event and tell what the receiver answered. Raises `NotFound`, `InvalidRequest`."""
    found, event_type = await _find(request, endpoint_id), read_test(await _body(request))
    delivered = await platform_of(request).deliveries.test(found, event_type)
    return json_answer(
        {
            "object": f"{_object_name(request)}.test",
            "webhook_endpoint_id": found.id,
            "event_type": event_type,
            "status_code": delivered.status_code,
            "success": True,
            "duration_ms": delivered.duration_ms,
        }
    )


@router.post("/webhook_endpoints/{endpoint_id}/enable")
async def enable_endpoint(request: Request, endpoint_id: str) -> Response:
    """Send events again from now on. Raises `NotFound`."""
    found = await _find(request, endpoint_id)
    return json_answer(_endpoint_object(request, await platform_of(request).endpoints.enable(found.tenant, found.id)))


@router.post("/webhook_endpoints/{endpoint_id}/disable")
async def disable_endpoint(request: Request, endpoint_id: str) -> Response:
    """Send nothing until it is enabled. Raises `NotFound`."""
    found = await _find(request, endpoint_id)
    disabled = await platform_of(request).endpoints.disable(found.tenant, found.id, reason=BY_OWNER)
    return json_answer(_endpoint_object(request, disabled))


@router.get("/webhook_endpoints/{endpoint_id}/deliveries")
async def list_deliveries(request: Request, endpoint_id: str) -> Response:
    """A page of the attempts to deliver to an endpoint, newest first. Raises `NotFound`, `InvalidValue`."""
    found, page = await _find(request, endpoint_id), read_page(request.query_params)
    if page.after is not None and not _ENTRY.fullmatch(page.after):
        raise _unknown_place(page.after)
    attempts = await platform_of(request).deliveries.log(found, before=page.after, limit=page.limit + 1)
    objects = [_delivery_object(request, attempt) for attempt in attempts[: page.limit]]
    return json_answer(list_object(objects, has_more=len(attempts) > page.limit))


@router.post("/webhook_endpoints/{endpoint_id}/deliveries/{event_id}/redeliver")
async def redeliver_event(request: Request, endpoint_id: str, event_id: str) -> Response:
    """Send an event of the log again under its id. Raises `NotFound`, `InvalidRequest`, `Overloaded`."""
    found = await _find(request, endpoint_id)
    if not found.enabled:
        raise InvalidRequest("The webhook endpoint is disabled. Enable it before you send events again.", param="id")
    admitted = await platform_of(request).deliveries.redeliver(found, event_id)
    return json_answer(
        {
            "object": f"{_object_name(request)}.redelivery",
            "webhook_endpoint_id": found.id,
            "event_id": event_id,
            "delivery_id": admitted.job_id,
        }
    )


async def _find(request: Request, endpoint_id: str) -> Endpoint:
    found = await platform_of(request).endpoints.get(tenant_of(request), endpoint_id)
    if found.dialect != "standard":
        # It is managed by the API that registered it, with rules of its own.
        raise NotFound(f"No webhook endpoint found with id '{shortened(endpoint_id)}'.", param="id")
    return found


async def _body(request: Request) -> dict[str, Any]:
    return await read_object(request, limit_bytes=MAX_BODY_BYTES)


def _object_name(request: Request) -> str:
    return "webhook.endpoint" if request.scope["path"].startswith(_DASHBOARD) else "webhook_endpoint"


def _endpoint_object(request: Request, endpoint: Endpoint, *, with_secret: bool = False) -> dict[str, Any]:
    hint = endpoint.signing_secret_hint
    described: dict[str, Any] = {
        "id": endpoint.id,
        "object": _object_name(request),
        "name": endpoint.name,
        "url": endpoint.url,
        "event_types": list(endpoint.event_types),
        "created_at": endpoint.created_at,
        "updated_at": endpoint.updated_at,
        "signing_secret_hint": None if hint is None else f"{'*' * 8}{hint}",
        "status": "enabled" if endpoint.enabled else "disabled",
        "disabled_reason": endpoint.disabled_reason,
    }
    return described | ({"signing_secret": endpoint.secret} if with_secret else {})


def _delivery_object(request: Request, attempt: DeliveryAttempt) -> dict[str, Any]:
    return {
        "id": attempt.entry,
        "object": f"{_object_name(request)}.delivery",
        "event_id": attempt.event_id,
        "event_type": attempt.event_type,
        "subject": attempt.subject,
        "delivery_id": attempt.delivery_id,
        "attempt": attempt.attempt,
        "created_at": attempt.at_ms // 1000,
        "status": "delivered" if attempt.succeeded else "failed",
        "status_code": attempt.status_code,
        "error": attempt.error,
        "duration_ms": attempt.duration_ms,
        "response": attempt.response,
        "body": attempt.body,
    }


def _unknown_place(after: str) -> InvalidValue:
    return InvalidValue(f"Invalid value for 'after': there is nothing called '{shortened(after)}'.", param="after")
