"""Completions that were made with `store`: their owner lists, reads, labels and deletes them."""

from __future__ import annotations

import asyncio
import base64
import logging
import re
import secrets
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import orjson

from antiphon.blobs import Blobs
from antiphon.bus import Index, Values
from antiphon.errors import AntiphonError, InvalidValue, NotFound
from antiphon.given import shortened
from antiphon.schemas import BlobRef
from services.ingest.chat.pages import CompletionQuery
from services.ingest.chat.settings import ChatSettings
from services.ingest.chat.stored_documents import (
    StoredDocument,
    asked_for,
    described,
    kept_messages,
    sounds_of,
    with_sounds,
)

logger = logging.getLogger(__name__)

_ID = re.compile(r"chatcmpl-[0-9a-f]{33}")
_STRIDE = 100
"""Documents that are read at a time when not all of them may be wanted."""


class CompletionNotFound(NotFound):
    """There is no such completion, or it is somebody else's: nobody learns which."""

    def __init__(self, completion_id: str) -> None:
        super().__init__(f"No chat completion found with id '{shortened(completion_id)}'.", param="completion_id")


@dataclass(frozen=True, slots=True)
class CompletionPage:
    """Some completions of a list, without the data of their audio, and whether there are more."""

    completions: Sequence[dict[str, Any]]
    has_more: bool


def new_completion_id(now_s: float) -> str:
    """Return an id for a completion of epoch second `now_s`; ids sort by time, to the microsecond."""
    return f"chatcmpl-{int(now_s * 1_000_000):013x}{secrets.token_hex(10)}"


class StoredCompletions:
    """Stored completions by tenant. Every method raises `Unavailable`.

    A completion is two values, what came of it and what was asked, and its audio is a blob, which lives shorter. It is
    there as soon as, and as long as, its id is in the index.
    """

    def __init__(
        self, index: Index, values: Values, blobs: Blobs, settings: ChatSettings, *, now_ms: Callable[[], int]
    ) -> None:
        self._index = index
        self._values = values
        self._blobs = blobs
        self._settings = settings
        self._now_ms = now_ms

    def check(self, body: Mapping[str, Any]) -> None:
        """Raise `InvalidValue` for a request that is too long to be stored, before work is spent on it."""
        self._encoded_messages("", body)

    async def put(
        self, completion: Mapping[str, Any], *, tenant: str, body: Mapping[str, Any], metadata: Mapping[str, str]
    ) -> None:
        """Store a completion, whose id is of `new_completion_id`, and the body it was asked for with; all or nothing.

        Raises `InvalidValue` as `check` does.
        """
        completion_id: str = completion["id"]
        if not _ID.fullmatch(completion_id):
            raise ValueError(f"not an id of new_completion_id: {completion_id!r}")
        messages = self._encoded_messages(completion_id, body)
        ttl, sounds = self._settings.chat_store_ttl, dict[int, BlobRef]()
        try:
            for index, data in sounds_of(completion).items():
                sound = await asyncio.to_thread(base64.b64decode, data)
                sounds[index] = await self._blobs.put(sound)
            expires_ms = self._now_ms() + int(ttl.total_seconds() * 1000)
            document = StoredDocument(described(completion, body, metadata), sounds, expires_ms)
            await asyncio.gather(
                self._values.put(_messages_key(tenant, completion_id), messages, ttl),
                self._values.put(_document_key(tenant, completion_id), document.encode(), ttl),
            )
            surplus = await self._index.add(tenant, completion_id)
        except BaseException:
            with suppress(AntiphonError):
                await self._index.drop(tenant, completion_id)
            await self._forget(tenant, completion_id, sounds.values())
            raise
        for gone in surplus:
            found = await self._read(tenant, gone)
            await self._forget(tenant, gone, found.sounds.values() if found else ())

    async def get(self, completion_id: str, *, tenant: str) -> dict[str, Any]:
        """Return a completion, with the data of its audio as long as that is kept. Raises `CompletionNotFound`."""
        document = await self._find(completion_id, tenant)
        data = {index: await self._sound(ref) for index, ref in document.sounds.items()}
        return with_sounds(document.shown, data)

    async def messages(self, completion_id: str, *, tenant: str) -> list[dict[str, Any]]:
        """Return the messages that a completion answered. Raises `CompletionNotFound`."""
        await self._find(completion_id, tenant)
        data = await self._values.get(_messages_key(tenant, completion_id))
        if data is None:
            raise CompletionNotFound(completion_id)
        messages: list[dict[str, Any]] = orjson.loads(data)
        return messages

    async def page(self, query: CompletionQuery, *, tenant: str) -> CompletionPage:
        """Return completions behind the one that the query names, which may have been deleted meanwhile.

        Raises `InvalidValue` for what cannot be the id of one.
        """
        after, limit = query.page.after, query.page.limit
        if after is not None and not _ID.fullmatch(after):
            raise InvalidValue(
                f"Invalid value for 'after': there is nothing called '{shortened(after)}'.", param="after"
            )
        found: list[dict[str, Any]] = []
        stride = _STRIDE if query.filters else min(_STRIDE, limit + 1)
        while len(found) <= limit:
            ids = await self._index.page(tenant, after=after, descending=query.newest_first, limit=stride)
            documents = await asyncio.gather(*(self._read(tenant, each) for each in ids))
            found += [each.shown for each in documents if each is not None and query.matches(each.shown)]
            await self._index.drop(
                tenant, *(each for each, document in zip(ids, documents, strict=True) if document is None)
            )
            if len(ids) < stride:
                break
            after = ids[-1]
        return CompletionPage(found[:limit], has_more=len(found) > limit)

    async def update(self, completion_id: str, metadata: Mapping[str, str], *, tenant: str) -> dict[str, Any]:
        """Replace the metadata of a completion; return it as `get` does. Raises `CompletionNotFound`."""
        document = (await self._find(completion_id, tenant)).with_metadata(metadata)
        left = timedelta(milliseconds=document.expires_ms - self._now_ms())
        if left > timedelta():
            await self._values.put(_document_key(tenant, completion_id), document.encode(), left)
        if left <= timedelta() or not await self._index.has(tenant, completion_id):
            # It was deleted in between: what has just been written belongs to nothing.
            await self._values.drop(_document_key(tenant, completion_id))
            raise CompletionNotFound(completion_id)
        return await self.get(completion_id, tenant=tenant)

    async def delete(self, completion_id: str, *, tenant: str) -> None:
        """Forget a completion and its audio. Raises `CompletionNotFound`."""
        document = await self._find(completion_id, tenant)
        if not await self._index.drop(tenant, completion_id):
            raise CompletionNotFound(completion_id)
        await self._forget(tenant, completion_id, document.sounds.values())

    async def _find(self, completion_id: str, tenant: str) -> StoredDocument:
        if not _ID.fullmatch(completion_id):
            raise CompletionNotFound(completion_id)
        document, listed = await asyncio.gather(
            self._read(tenant, completion_id), self._index.has(tenant, completion_id)
        )
        if document is None or not listed:
            raise CompletionNotFound(completion_id)
        return document

    async def _read(self, tenant: str, completion_id: str) -> StoredDocument | None:
        data = await self._values.get(_document_key(tenant, completion_id))
        return None if data is None else StoredDocument.parse(data)

    async def _sound(self, ref: BlobRef) -> str:
        try:
            data = await self._blobs.read(ref)
        except NotFound:
            return ""
        return (await asyncio.to_thread(base64.b64encode, data)).decode()

    async def _forget(self, tenant: str, completion_id: str, sounds: Iterable[BlobRef]) -> None:
        """Delete what belongs to an id that is not in the index; what cannot be deleted ends with its life span."""
        try:
            await self._values.drop(_document_key(tenant, completion_id))
            await self._values.drop(_messages_key(tenant, completion_id))
            for ref in sounds:
                await self._blobs.delete(ref)
        except AntiphonError as error:
            logger.warning("a stored completion was not deleted whole", extra={"cause": str(error)})

    def _encoded_messages(self, completion_id: str, body: Mapping[str, Any]) -> bytes:
        messages = orjson.dumps(kept_messages(completion_id, body.get("messages") or ()))
        size, limit = len(messages) + len(orjson.dumps(asked_for(body))), self._settings.chat_stored_bytes
        if size > limit:
            raise InvalidValue(
                f"Invalid 'store': the messages and options of this request are {size} bytes long, but at most {limit} "
                "are stored. Send it without 'store'.",
                param="store",
            )
        return messages


def _document_key(tenant: str, completion_id: str) -> str:
    return f"chat:completion:{tenant}:{completion_id}"


def _messages_key(tenant: str, completion_id: str) -> str:
    return f"chat:messages:{tenant}:{completion_id}"
