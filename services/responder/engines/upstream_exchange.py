"""One request to a server, and the pieces of its answer."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import dataclass
from datetime import UTC, datetime
from http import HTTPStatus
from typing import Any, cast

import httpx
import orjson

from services.responder.engines.language_model import Piece
from services.responder.engines.upstream_answer import Answer
from services.responder.engines.upstream_chunks import is_error, read_chunk, read_json
from services.responder.engines.upstream_errors import Blame, Broken, Complaint, Failed
from services.responder.engines.upstream_events import EventReader
from services.responder.engines.upstream_watch import RequestWatch

LONGEST_WHOLE_BYTES = 32 * 1024 * 1024
"""Of an answer that is not streamed."""

_LONGEST_COMPLAINT_BYTES = 64 * 1024
_TAIL_S = 2.0
"""How long the token counts may take to follow the last word."""
_DRAIN_S = 0.2
"""How long a server may take to end its response after the last event, so that its connection serves again."""
_COUNTING = "stream_options"
"""The parameter that asks for token counts in a stream."""

_Bytes = AsyncGenerator[bytes, None]


class CannotCount(Exception):
    """The server does not take the request for token counts."""


@dataclass(frozen=True, slots=True)
class Ask:
    """One answer that is asked for. `begin_by_s` is when its first token is due, on the loop's clock.

    `resent` is how often it was asked for before.
    """

    content: bytes
    rough_prompt_tokens: int
    logprobs: bool
    counts: bool
    begin_by_s: float
    resent: int = 0


@dataclass(frozen=True, slots=True)
class Exchange:
    """Asks at `url`. A server that has begun may be silent for `next_token_s` seconds."""

    client: httpx.AsyncClient
    url: str
    blame: Blame
    next_token_s: float

    async def pieces(self, ask: Ask) -> AsyncGenerator[Piece, None]:
        """Yield the answer. Closing the generator closes the connection, unless the answer is whole.

        Raises `Failed`, and `CannotCount` when the answer was asked for with its token counts.
        """
        # Not made current: a generator is left and entered again by whoever reads it.
        watch = RequestWatch(httpx.URL(self.url), resent=ask.resent)
        try:
            response = await self._send(ask, watch)
            watch.answered(response.status_code)
            async with aclosing(self._answer(response, ask)) as pieces:
                async for piece in pieces:
                    yield piece
        except Exception as error:
            watch.failed(error.error if isinstance(error, Failed) else error)
            raise
        finally:
            watch.end()

    async def _answer(self, response: httpx.Response, ask: Ask) -> AsyncGenerator[Piece, None]:
        try:
            # Left in the middle, the generators must be closed before the response is.
            async with aclosing(cast("_Bytes", response.aiter_raw())) as received:
                if response.status_code != HTTPStatus.OK:
                    raise await self._refusal(response, received, ask)
                if response.headers.get("content-encoding", "identity").lower() != "identity":
                    raise Broken("sent its answer compressed, which it was not asked for")
                async with aclosing(self._read(received, ask)) as pieces:
                    async for piece in pieces:
                        yield piece
        except Broken as broken:
            raise self.blame.broken(str(broken)) from None
        finally:
            await response.aclose()

    async def _send(self, ask: Ask, watch: RequestWatch) -> httpx.Response:
        try:
            async with asyncio.timeout_at(ask.begin_by_s):
                request = self.client.build_request("POST", self.url, content=ask.content, headers=watch.headers())
                return await self.client.send(request, stream=True)
        except TimeoutError:
            raise self._late() from None
        except httpx.ConnectError as error:
            if _distrusted(error):
                raise self.blame.unreachable("has no certificate that is trusted", again=False) from error
            raise self.blame.unreachable("cannot be reached") from error
        except httpx.TimeoutException as error:
            raise self.blame.unreachable("cannot be reached") from error
        except httpx.HTTPError as error:
            raise self.blame.unreachable("broke off the connection") from error

    async def _refusal(self, response: httpx.Response, received: _Bytes, ask: Ask) -> Exception:
        body = bytearray()
        try:
            while len(body) < _LONGEST_COMPLAINT_BYTES and (data := await self._next(received, ask.begin_by_s)):
                body += data
        except Failed:
            pass  # The status says enough.
        try:
            found: Any = orjson.loads(body)
        except orjson.JSONDecodeError:
            found = None
        if ask.counts and response.status_code in (400, 422):
            complaint = Complaint.read(found)
            if _COUNTING in complaint.message or _COUNTING in (complaint.param or ""):
                return CannotCount()
        return self.blame.refused(response.status_code, response.headers, found, now=datetime.now(UTC))

    async def _read(self, received: _Bytes, ask: Ask) -> AsyncGenerator[Piece, None]:
        answer = Answer(rough_prompt_tokens=ask.rough_prompt_tokens, logprobs=ask.logprobs)
        begin = b""
        while not begin.strip():
            data = await self._next(received, ask.begin_by_s)
            if data is None:
                raise self.blame.broken("said nothing", again=True)
            begin = (begin + data)[-_LONGEST_COMPLAINT_BYTES:]
        kind = begin.lstrip()[:1]
        if kind == b"<":
            raise Broken("answered with a page, not with a completion")
        reading = self._whole if kind in (b"{", b"[") else self._streamed
        async with aclosing(reading(begin, received, answer, ask)) as pieces:
            async for piece in pieces:
                yield piece
        for piece in answer.end():
            yield piece

    async def _whole(self, begin: bytes, received: _Bytes, answer: Answer, ask: Ask) -> AsyncGenerator[Piece, None]:
        """Read a completion that came at once although it was asked for as a stream."""
        body = bytearray(begin)
        while (data := await self._next(received, self._in(self.next_token_s), silent=True)) is not None:
            body += data
            if len(body) > LONGEST_WHOLE_BYTES:
                raise Broken(f"sent an answer of more than {LONGEST_WHOLE_BYTES} bytes")
        found = read_json(bytes(body))
        if is_error(found):
            raise self.blame.complained(found)
        for piece in answer.add(read_chunk(found)):
            yield piece

    async def _streamed(self, begin: bytes, received: _Bytes, answer: Answer, ask: Ask) -> AsyncGenerator[Piece, None]:
        events = EventReader()
        data: bytes | None = begin
        until_s = ask.begin_by_s
        ending = False
        while True:
            signs = answer.signs
            for event in events.finish() if data is None else events.feed(data):
                said = event.data.strip()
                if said == b"[DONE]":
                    await self._drain(received)
                    return
                if not said:
                    continue
                found = read_json(said)
                if is_error(found) or event.name == "error":
                    raise self.blame.complained(found)
                for piece in answer.add(read_chunk(found)):
                    yield piece
            if data is None:
                break
            if answer.finished:
                until_s = until_s if ending else self._in(_TAIL_S)
                ending = True
            elif answer.signs > signs:
                # Comments and empty chunks are no sign of life: proxies send them for a server that hangs.
                until_s = self._in(self.next_token_s)
            try:
                data = await self._next(received, until_s, silent=answer.signs > 0)
            except Failed:
                if not answer.finished:
                    raise
                return  # All has been said; the counts alone are missing.
        if not answer.finished:
            raise self.blame.broken("broke off its answer", again=True)

    async def _next(self, received: _Bytes, until_s: float, *, silent: bool = False) -> bytes | None:
        """Return what comes next, None at the end. Raises `Failed`; `silent` says that the answer had begun."""
        try:
            async with asyncio.timeout_at(until_s):
                return await anext(received, None)
        except TimeoutError:
            raise self._late(silent=silent) from None
        except httpx.HTTPError as error:
            raise self.blame.broken("broke off its answer", again=True) from error

    async def _drain(self, received: _Bytes) -> None:
        """Read to the end of the response, if it is near."""
        until_s = self._in(_DRAIN_S)
        try:
            while await self._next(received, until_s) is not None:
                pass
        except Failed:
            pass

    def _late(self, *, silent: bool = False) -> Failed:
        what = f"has been silent for {self.next_token_s:g} s in the middle of its answer"
        return self.blame.late(what if silent else "did not begin its answer in time")

    def _in(self, seconds: float) -> float:
        return asyncio.get_running_loop().time() + seconds


def _distrusted(error: BaseException | None) -> bool:
    while error is not None and not isinstance(error, ssl.SSLCertVerificationError):
        error = error.__cause__ or error.__context__
    return error is not None
