"""/transcriptions/{id}/files: result files and the report, and the signed links to them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from antiphon.errors import NotFound
from services.ingest.access.principal import tenant_of
from services.ingest.platform import platform_of
from services.ingest.speech.address import CONTENT, Address
from services.ingest.speech.documents import FILE_PROPERTIES, REPORT_ID, file_object, file_row
from services.ingest.speech.exchange import filter_of, json_response, transcriptions_of
from services.ingest.speech.links import Signer, read_lifetime_s
from services.ingest.speech.pages import MAX_TOP, Page, page_object
from services.ingest.speech.transcriptions import RenderedFile, Transcription

SECRET = "files"  # noqa: S105 - the name of one

router = APIRouter(prefix="/transcriptions/{id}/files")
signed = APIRouter()


@dataclass(frozen=True)
class _Summary:
    """A file without its content."""

    file_id: str
    size: int
    created_ms: int

    @classmethod
    def of(cls, file: RenderedFile) -> _Summary:
        return cls(file.file_id, len(file.content), file.created_ms)


@router.get("")
async def list_files(request: Request, id: str) -> Response:
    """The files of a transcription that has ended: a result for each recording that succeeded, then the report.

    Places are counted by recordings, so a page holds fewer files than it could when some have failed.
    """
    transcription = await transcriptions_of(request).find(id, tenant=tenant_of(request))
    page, wanted = Page.of(request.query_params), filter_of(request, FILE_PROPERTIES)
    places = _places(transcription)
    if wanted is None:
        total, chosen = len(places), await _summaries(request, transcription, page.cut(places))
    else:
        every = await _summaries(request, transcription, places)
        fitting = [file for file in every if wanted(file_row(file.file_id, created_ms=file.created_ms))]
        total, chosen = len(fitting), list(page.cut(fitting))
    links = await _Links.of(request, transcription)
    return json_response(
        page_object(
            [links.show(file) for file in chosen],
            page=page,
            total=total,
            address=Address.of(request),
            path=("transcriptions", id, "files"),
            query=request.query_params,
        )
    )


@router.get("/{file_id}")
async def get_file(request: Request, id: str, file_id: str) -> Response:
    """One file."""
    transcription = await transcriptions_of(request).find(id, tenant=tenant_of(request))
    summaries = await _summaries(request, transcription, [file_id])
    if not summaries:
        raise NotFound("The specified file does not exist.")
    links = await _Links.of(request, transcription)
    return json_response(links.show(summaries[0]))


@signed.get("/content/{tenant}/{id}/{file_id}")
async def get_content(request: Request, tenant: str, id: str, file_id: str) -> Response:
    """The content of a file, for whoever has the link. Raises `LinkRefused`, `NotFound`."""
    platform = platform_of(request)
    signer = Signer(await platform.bus.shared_secret(SECRET))
    signer.check(_content_path(tenant, id, file_id), request.query_params, now_s=platform.bus.now_ms() / 1000)
    transcriptions = transcriptions_of(request)
    files = await transcriptions.files(await transcriptions.find(id, tenant=tenant), [file_id])
    if not files:
        raise NotFound("The specified file does not exist.")
    return Response(files[0].content, media_type="application/json", headers={"cache-control": "private, no-store"})


@dataclass(frozen=True)
class _Links:
    """Shows the files of one transcription with links that are signed now."""

    transcription: Transcription
    address: Address
    signer: Signer
    expires_s: int

    @classmethod
    async def of(cls, request: Request, transcription: Transcription) -> _Links:
        """Prepare links that live as long as the request asks for. Raises `InvalidValue`."""
        platform, address = platform_of(request), Address.of(request)
        lifetime_s = read_lifetime_s(request.query_params, legacy=address.legacy)
        signer = Signer(await platform.bus.shared_secret(SECRET))
        return cls(transcription, address, signer, expires_s=platform.bus.now_ms() // 1000 + lifetime_s)

    def show(self, file: _Summary) -> dict[str, Any]:
        """Return a file as its owner sees it."""
        record = self.transcription.record
        path = _content_path(record.tenant, record.id, file.file_id)
        return file_object(
            record,
            file.file_id,
            content_url=f"{self.address.origin}{path}?{self.signer.sign(path, expires_s=self.expires_s)}",
            size=file.size,
            created_ms=file.created_ms,
            address=self.address,
        )


def _places(transcription: Transcription) -> Sequence[str]:
    if not transcription.record.ended:
        return ()
    return [*(str(number) for number in range(transcription.record.total)), REPORT_ID]


async def _summaries(request: Request, transcription: Transcription, file_ids: Sequence[str]) -> list[_Summary]:
    transcriptions, summaries = transcriptions_of(request), []
    for start in range(0, len(file_ids), MAX_TOP):
        files = await transcriptions.files(transcription, file_ids[start : start + MAX_TOP])
        summaries += [_Summary.of(file) for file in files]
    return summaries


def _content_path(tenant: str, batch_id: str, file_id: str) -> str:
    return "/".join([CONTENT, *(quote(part, safe="") for part in (tenant, batch_id, file_id))])
