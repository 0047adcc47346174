"""/jobs: the work of /audio without a waiting caller."""

from __future__ import annotations

import re
from collections.abc import Sequence

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from antiphon.schemas import JobRecord, Kind, Outcome
from services.ingest.access.principal import tenant_of
from services.ingest.jobs.admission import Admission
from services.ingest.jobs.content import SpeechContent
from services.ingest.jobs.cursor import Cursor
from services.ingest.jobs.deletion import delete_job
from services.ingest.jobs.errors import JobNotFound
from services.ingest.jobs.following import JobEvents
from services.ingest.jobs.objects import JobView, check_completed
from services.ingest.jobs.orders import receive_orders
from services.ingest.json_answers import json_answer, list_object
from services.ingest.leaving import Leaving
from services.ingest.parameters.fields import Fields
from services.ingest.parameters.jobs import read_listing
from services.ingest.platform import Platform, platform_of

_ID = re.compile(r"[A-Za-z0-9_.:-]{1,128}")

router = APIRouter(prefix="/jobs")


@router.post("")
async def create_jobs(request: Request) -> Response:
    """One job, or a list of them."""
    platform, view = platform_of(request), _view(request)
    book = await receive_orders(request, platform)
    placed = await Admission(platform, book).place_all()
    shown = [view.whole(each.record, secret=each.secret) for each in placed]
    headers = {"idempotent-replayed": "true"} if all(each.replayed for each in placed) else {}
    if book.listed:
        return json_answer(list_object(shown, has_more=False), status=202, headers=headers)
    return json_answer(shown[0], status=202, headers=headers | {"location": view.path(placed[0].record.id)})


@router.get("")
async def list_jobs(request: Request) -> Response:
    """A page of jobs, the newest first."""
    platform, view = platform_of(request), _view(request)
    wanted = read_listing(Fields(request.query_params.multi_items()))
    # What comes after a job in a list that begins with the newest is older than it.
    page = await platform.bus.records.page(
        tenant_of(request),
        kinds=wanted.kinds,
        states=wanted.states,
        before=wanted.after,
        after=wanted.before,
        limit=wanted.limit + 1,
    )
    backwards = wanted.before is not None and wanted.after is None
    kept = page[-wanted.limit :] if backwards else page[: wanted.limit]
    failures = await _failures(platform, kept)
    shown = [view.listed(record, failures.get(record.id)) for record in kept]
    return json_answer(list_object(shown, has_more=len(page) > wanted.limit))


@router.get("/{job_id}")
async def retrieve_job(request: Request, job_id: str) -> Response:
    """One job with its result. Raises `JobNotFound`."""
    return json_answer(_view(request).whole(await _find(request, job_id)))


@router.get("/{job_id}/content")
async def retrieve_content(request: Request, job_id: str) -> Response:
    """The result alone, in the format that was asked for. Raises `JobNotFound`, `JobNotFinished`, the job's error."""
    record = await _find(request, job_id)
    outcome = check_completed(record)
    if record.kind == "synthesize":
        return SpeechContent(platform_of(request).blobs, outcome)
    document = _view(request).document(record)
    return Response(document.body, media_type=document.media_type)


@router.get("/{job_id}/events")
async def follow_job(request: Request, job_id: str) -> Response:
    """What becomes of a job, as it happens. Raises `JobNotFound`, `InvalidValue`."""
    record = await _find(request, job_id)
    cursor = Cursor.parse(request.headers.get("last-event-id"))
    if cursor.phase == "ended":
        # All was told; to a browser that connects again this means not to.
        return Response(status_code=204)
    leaving: Leaving = request.app.state.leaving
    return JobEvents(platform_of(request), record, _view(request), cursor, stopping=leaving.closed)


@router.post("/{job_id}/cancel")
async def cancel_job(request: Request, job_id: str) -> Response:
    """Ask for a job to be stopped: 202, or 200 for one that has ended. Raises `JobNotFound`."""
    record = await _find(request, job_id)
    if not record.ended and await platform_of(request).caller.cancel(record.kind, record.id):
        return json_answer(_view(request).whole(record), status=202)
    return json_answer(_view(request).whole(await _find(request, job_id)))


@router.delete("/{job_id}")
async def remove_job(request: Request, job_id: str) -> Response:
    """Delete a job and what it left. Raises `JobNotFound`."""
    record = await _find(request, job_id)
    await delete_job(platform_of(request), record)
    return json_answer({"id": record.id, "object": "job", "deleted": True})


async def _find(request: Request, job_id: str) -> JobRecord:
    if not _ID.fullmatch(job_id):
        raise JobNotFound(job_id)
    record = await platform_of(request).bus.records.find(job_id, tenant=tenant_of(request))
    if record is None:
        raise JobNotFound(job_id)
    return record


async def _failures(platform: Platform, records: Sequence[JobRecord]) -> dict[str, Outcome]:
    """Return how those ended that have not completed, which are small."""
    ids: dict[Kind, list[str]] = {}
    for record in records:
        if record.ended and record.state != "completed":
            ids.setdefault(record.kind, []).append(record.id)
    found = [outcome for kind in ids for outcome in await platform.bus.records.outcomes(kind, ids[kind])]
    return {outcome.id: outcome for outcome in found if outcome is not None}


def _view(request: Request) -> JobView:
    platform = platform_of(request)
    surface = "/openai/v1" if request.scope["path"].startswith("/openai/") else "/v1"
    return JobView(platform.catalogue, f"{platform.settings.path_prefix}{surface}/jobs")
