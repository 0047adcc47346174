"""A request becomes orders: each checked, and all of them before the first is carried out."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from starlette.requests import Request

from antiphon.errors import AntiphonError, InvalidValue
from antiphon.schemas import BlobRef, Meter
from services.ingest.access.principal import grant_of, tenant_of
from services.ingest.errors import MalformedBody
from services.ingest.json_body import read_json
from services.ingest.naming import catalogue_of
from services.ingest.parameters.fields import Members, no_longer_than
from services.ingest.parameters.jobs import JobOrder, JobRules, read_job
from services.ingest.platform import Platform
from services.ingest.upload import is_form, receive_upload

MAX_JOBS = 1_000
MAX_JSON_BYTES = 16 * 2**20
MAX_KEY_CHARACTERS = 255

_BREATHER = 50
"""Orders that are checked in one go, before other requests have their turn."""


@dataclass(frozen=True)
class Order:
    """A checked job; `upload` is its audio if that came as a file, `source` what its owner calls it."""

    wanted: JobOrder
    fingerprint: str
    upload: BlobRef | None = None
    source: str | None = None


@dataclass(frozen=True)
class OrderBook:
    """The orders of one request. `listed` tells a list, even of one, from a single job."""

    orders: tuple[Order, ...]
    listed: bool
    tenant: str
    key: str | None
    meter: Meter | None

    @property
    def fingerprint(self) -> str:
        """What tells this request from others."""
        digests = "".join(order.fingerprint for order in self.orders)
        return _fingerprint(digests.encode(), b"list" if self.listed else b"")


async def receive_orders(request: Request, platform: Platform) -> OrderBook:
    """Read a request for jobs. An upload is kept; whoever takes the orders discards it when it is not used.

    Raises `InvalidRequest`, `ModelNotFound`, `NotFound` for an endpoint that is not there, and what `read_json` does.
    """
    key, grant = _idempotency_key(request), grant_of(request)
    rules = JobRules(
        catalogue=catalogue_of(request),
        ceiling=grant.ceiling,
        strict=platform.settings.strict,
        check_url=platform.egress.check_url,
        kept_s=int(platform.settings.blobs.blob_ttl.total_seconds()),
        now_s=platform.bus.now_ms() / 1000,
    )
    book = OrderBook((), listed=False, tenant=tenant_of(request), key=key, meter=grant.meter)
    if is_form(request.headers):
        hashed = key is not None
        async with receive_upload(request.headers, request.receive, platform.blobs, hashed=hashed) as upload:
            wanted = read_job(upload.fields, rules, uploaded=upload.present)
            order = Order(wanted, _fingerprint(upload.fields.canonical(), upload.digest), source=upload.filename)
            await _check_endpoints(platform, tenant_of(request), [order])
            kept = await upload.keep() if upload.present else None
        return replace(book, orders=(replace(order, upload=kept),))
    limit_bytes = min(MAX_JSON_BYTES, platform.settings.max_upload_bytes)
    body = await read_json(request, limit_bytes=limit_bytes)
    jobs = body.get("jobs") if isinstance(body, dict) else body
    listed = jobs is not None
    orders = await _read_list(jobs, rules) if listed else [_read(body, rules)]
    await _check_endpoints(platform, tenant_of(request), orders)
    return replace(book, orders=tuple(orders), listed=listed)


async def _read_list(jobs: object, rules: JobRules) -> list[Order]:
    if not isinstance(jobs, list):
        raise MalformedBody("The body of your request must be a job or a list of jobs.", param="jobs")
    if not 1 <= len(jobs) <= MAX_JOBS:
        raise InvalidValue(
            f"Invalid 'jobs': expected between 1 and {MAX_JOBS} jobs, but got {len(jobs)}.", param="jobs"
        )
    orders = []
    for index, job in enumerate(jobs):
        try:
            orders.append(_read(job, rules))
        except AntiphonError as error:
            raise _within(index, error) from None
        if index % _BREATHER == 0:
            await asyncio.sleep(0)
    return orders


def _read(job: Any, rules: JobRules) -> Order:
    if not isinstance(job, dict):
        raise MalformedBody("A job must be a JSON object.")
    parameters = Members(job)
    wanted = read_job(parameters, rules)
    source = wanted.audio.uri if wanted.audio else None
    return Order(wanted, _fingerprint(parameters.canonical(), b""), source=source)


async def _check_endpoints(platform: Platform, tenant: str, orders: Sequence[Order]) -> None:
    """Raise `NotFound` for a webhook endpoint that this tenant does not have."""
    checked: set[str] = set()
    for index, order in enumerate(orders):
        target = order.wanted.webhook
        if target is None or target.endpoint is None or target.endpoint in checked:
            continue
        try:
            await platform.endpoints.get(tenant, target.endpoint)
        except AntiphonError as error:
            error.param = "webhook.endpoint"
            raise (_within(index, error) if len(orders) > 1 else error) from None
        checked.add(target.endpoint)


def _within(index: int, error: AntiphonError) -> AntiphonError:
    """Return the error of one job as that of the list it is in."""
    error.param = f"jobs[{index}].{error.param}" if error.param else f"jobs[{index}]"
    return error


def _idempotency_key(request: Request) -> str | None:
    key = request.headers.get("idempotency-key", "").strip()
    return no_longer_than("Idempotency-Key", key, MAX_KEY_CHARACTERS) or None


def _fingerprint(parameters: bytes, content: bytes) -> str:
    return hashlib.sha256(hashlib.sha256(parameters).digest() + content).hexdigest()
