"""/webhooks: who is told of transcriptions. Nothing is dialled from here: the webhooks service does that."""

from __future__ import annotations

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from antiphon.errors import AntiphonError, NotFound
from antiphon.webhooks import Endpoint
from antiphon.webhooks.messages import plain_message
from services.ingest.access.principal import tenant_of
from services.ingest.platform import platform_of
from services.ingest.speech.address import Address
from services.ingest.speech.documents import event_object
from services.ingest.speech.exchange import body_of, json_response, list_response, transcriptions_of
from services.ingest.speech.hooks import (
    HOOK_PROPERTIES,
    TRANSCRIPTION_EVENTS,
    hook_object,
    hook_row,
    read_hook,
    read_hook_change,
    require_validated,
)

router = APIRouter(prefix="/webhooks")


@router.post("")
async def create_hook(request: Request) -> Response:
    """Register a webhook; it is told of nothing until it has answered the challenge."""
    platform, address = platform_of(request), Address.of(request)
    wanted = read_hook(await body_of(request))
    endpoint = await platform.endpoints.create(
        tenant_of(request),
        name=wanted.name or "",
        url=wanted.url or "",
        event_types=wanted.event_types or (),
        dialect="azure",
        secret=wanted.secret or None,
        definition=wanted.definition,
    )
    try:
        await platform.deliveries.challenge(endpoint)
    except AntiphonError:
        # Nobody would ever challenge it again.
        await platform.endpoints.delete(endpoint.tenant, endpoint.id)
        raise
    body = hook_object(endpoint, address)
    return json_response(body, status=201, headers={"location": body["self"]})


@router.get("")
async def list_hooks(request: Request) -> Response:
    """A tenant's webhooks, the oldest first."""
    address = Address.of(request)
    return list_response(
        request,
        await platform_of(request).endpoints.list(tenant_of(request), dialect="azure"),
        properties=HOOK_PROPERTIES,
        row=hook_row,
        show=lambda endpoint: hook_object(endpoint, address),
        path=("webhooks",),
    )


@router.post("/{id}:ping")
async def ping_hook(request: Request, id: str) -> Response:
    """Send the registration itself, as the event `ping`."""
    endpoint = await _endpoint(request, id)
    require_validated(endpoint)
    message = plain_message(endpoint.tenant, "ping", hook_object(endpoint, Address.of(request)))
    await platform_of(request).deliveries.queue(message, endpoint)
    return Response(status_code=202)


@router.post("/{id}:test")
async def test_hook(request: Request, id: str) -> Response:
    """Send each event of transcriptions that is registered, made from the last transcription; 204 if there is none."""
    endpoint, deliveries = await _endpoint(request, id), platform_of(request).deliveries
    require_validated(endpoint)
    transcriptions = await transcriptions_of(request).all(tenant=endpoint.tenant)
    event_types = [name for name in TRANSCRIPTION_EVENTS if name in endpoint.event_types]
    if not transcriptions or not event_types:
        return Response(status_code=204)
    last = transcriptions[-1]
    body = event_object(last.record, last.definition)
    for event_type in event_types:
        await deliveries.queue(plain_message(endpoint.tenant, event_type, body, subject=last.record.id), endpoint)
    return Response(status_code=200)


@router.get("/{id}")
async def get_hook(request: Request, id: str) -> Response:
    """One webhook."""
    return json_response(hook_object(await _endpoint(request, id), Address.of(request)))


@router.patch("/{id}")
async def update_hook(request: Request, id: str) -> Response:
    """Change a webhook; a new URL is challenged anew."""
    platform, before = platform_of(request), await _endpoint(request, id)
    wanted = read_hook_change(await body_of(request))
    endpoint = await platform.endpoints.update(
        before.tenant,
        id,
        name=wanted.name,
        url=wanted.url,
        event_types=wanted.event_types,
        secret=wanted.secret,
        definition=before.definition | wanted.definition,
    )
    if endpoint.url != before.url:
        await platform.deliveries.challenge(endpoint)
    return json_response(hook_object(endpoint, Address.of(request)))


@router.delete("/{id}")
async def delete_hook(request: Request, id: str) -> Response:
    """Forget a webhook."""
    platform, endpoint = platform_of(request), await _endpoint(request, id)
    await platform.endpoints.delete(endpoint.tenant, id)
    return Response(status_code=204)


async def _endpoint(request: Request, endpoint_id: str) -> Endpoint:
    found = await platform_of(request).endpoints.find(tenant_of(request), endpoint_id)
    if found is None or found.dialect != "azure":
        raise NotFound("The specified web hook does not exist.")
    return found
