"""A `respond` job becomes an answer: its pieces on the job's output as they are written, the whole as the result."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing
from typing import Protocol

from antiphon.blobs import Blobs
from antiphon.bus import GivenUp
from antiphon.errors import AntiphonError, InvalidValue
from antiphon.models import Catalogue, Model
from antiphon.schemas import AudioPart, EventKind, ImagePart, Reply, ReplyDelta, RespondJob, ToolCallDelta
from antiphon.telemetry.stages import stage
from services.responder.draft import Draft
from services.responder.engines import (
    CallPiece,
    End,
    LanguageModel,
    Piece,
    Prompt,
    RefusalPiece,
    SoundPiece,
    TextPiece,
)
from services.responder.watch import LANE, Watch, watched

EVENT_BYTES = 48_000
"""Most bytes of sound in one event: a second."""
PATIENCE_S = 10.0
"""Longest pause before another attempt when somebody waits: after a longer one they had rather been told."""


class Attempt(Protocol):
    """The part of the bus's `Work` that is needed here."""

    def check(self) -> None:
        """Raise if the work is to stop."""
        ...

    async def emit(self, kind: EventKind, data: bytes) -> None:
        """Append to the job's output. Raises as `check` does."""
        ...


class Engines(Protocol):
    """Where the engine of a model is had from."""

    async def engine(self, model: Model) -> LanguageModel:
        """Return it, loaded."""
        ...


class Respond:
    """Handles `respond` jobs."""

    def __init__(self, *, catalogue: Catalogue, engines: Engines, blobs: Blobs) -> None:
        self._catalogue = catalogue
        self._engines = engines
        self._blobs = blobs

    async def __call__(self, job: RespondJob, work: Attempt) -> Reply:
        """Answer; each piece leaves as soon as it is there.

        Raises `ModelNotFound`, `InvalidValue` for what the model cannot do, `NotFound` for a recording that is gone,
        and what the engine and `work` raise.
        """
        model = self._catalogue.resolve(job.model, "respond")
        engine = await self._engines.engine(model)
        _require(engine, job)
        prompt = Prompt(
            messages=job.messages,
            tools=job.tools,
            options=job.options,
            voice=job.voice if engine.speaks else None,
            recordings=await self._recordings(job) if engine.hears else {},
            tenant=job.tenant,
        )
        work.check()
        outlet = Outlet(work)
        try:
            with watched(job, model) as watch:
                async with aclosing(engine.respond(prompt)) as pieces:
                    return await _relay(pieces, outlet, watch)
        except AntiphonError as error:
            if error.retryable and ((outlet.used and not job.restart) or _comes_late(error, job)):
                raise GivenUp(error) from error
            raise

    async def _recordings(self, job: RespondJob) -> Mapping[str, bytes]:
        references = {part.audio.uri: part.audio for part in _parts(job) if isinstance(part, AudioPart)}
        if not references:
            return {}
        with stage("fetch", lane=LANE):
            return {uri: await self._blobs.read(reference) for uri, reference in references.items()}


class Outlet:
    """The job's output."""

    def __init__(self, work: Attempt) -> None:
        self._work = work
        self.used = False

    async def say(self, delta: ReplyDelta) -> None:
        """Emit what was written."""
        self.used = True
        await self._work.emit("delta", delta.model_dump_json(exclude_defaults=True).encode())

    async def sound(self, pcm: bytes) -> None:
        """Emit sound, in events of bounded size."""
        self.used = True
        for start in range(0, len(pcm), EVENT_BYTES):
            await self._work.emit("audio", pcm[start : start + EVENT_BYTES])


async def _relay(pieces: AsyncGenerator[Piece, None], outlet: Outlet, watch: Watch) -> Reply:
    draft = Draft()
    async for piece in pieces:
        watch.note(piece)
        draft.add(piece)
        match piece:
            case TextPiece(text, logprobs):
                await outlet.say(ReplyDelta(text=text, logprobs=logprobs))
            case RefusalPiece(text):
                await outlet.say(ReplyDelta(refusal=text))
            case CallPiece(index, arguments, id, name):
                call = ToolCallDelta(index=index, id=id, name=name, arguments=arguments)
                await outlet.say(ReplyDelta(tool_calls=(call,)))
            case SoundPiece(pcm):
                await outlet.sound(pcm)
            case End():
                return draft.reply()
    raise RuntimeError("the engine stopped without an end")


def _comes_late(error: AntiphonError, job: RespondJob) -> bool:
    """Tell whether another attempt would keep somebody waiting for too long; who is told by an event does not wait."""
    return not job.announce and (error.retry_after_s or 0.0) > PATIENCE_S


def _require(engine: LanguageModel, job: RespondJob) -> None:
    for number, message in enumerate(job.messages):
        for part in message.content:
            if isinstance(part, ImagePart) and not engine.sees:
                raise InvalidValue(f"The model '{job.model}' cannot see images.", param=f"messages[{number}].content")
            if isinstance(part, AudioPart) and part.transcript is None and not engine.hears:
                raise InvalidValue(
                    f"The model '{job.model}' cannot hear: audio needs its transcript.",
                    param=f"messages[{number}].content",
                )


def _parts(job: RespondJob) -> list[object]:
    return [part for message in job.messages for part in message.content]
