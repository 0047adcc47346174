"""A `respond` job: what an engine says goes out as it comes, and the whole is the sum of its pieces."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from dataclasses import dataclass, field
from typing import Any

import pytest

from antiphon.bus import GivenUp
from antiphon.errors import Cancelled, InvalidValue, ModelNotFound, UpstreamFailed
from antiphon.models import Catalogue, Model
from antiphon.schemas import (
    AudioPart,
    BlobRef,
    EventKind,
    ImagePart,
    Message,
    Part,
    ReplyDelta,
    ReplyUsage,
    RespondJob,
    TextPart,
    ToolCall,
)
from services.responder.engines import CallPiece, End, Piece, Prompt, RefusalPiece, SoundPiece, TextPiece
from services.responder.handlers import EVENT_BYTES, Respond

pytestmark = pytest.mark.unit

USAGE = ReplyUsage(prompt_tokens=7, completion_tokens=3)
END = End("stop", USAGE, "q4")


@dataclass
class Reader:
    """An engine that says what it was given, then fails if it was told to."""

    pieces: tuple[Piece, ...]
    error: Exception | None = None
    hears: bool = False
    speaks: bool = False
    sees: bool = False
    prompts: list[Prompt] = field(default_factory=list)
    closed: bool = False

    async def respond(self, prompt: Prompt) -> AsyncGenerator[Piece, None]:
        self.prompts.append(prompt)
        try:
            for piece in self.pieces:
                yield piece
            if self.error is not None:
                raise self.error
        finally:
            self.closed = True

    async def aclose(self) -> None:
        pass

    async def engine(self, model: Model) -> Reader:
        return self


@dataclass
class Page:
    """An attempt that writes down what is emitted, until it is stopped."""

    events: list[tuple[EventKind, bytes]] = field(default_factory=list)
    stops_after: int | None = None

    def check(self) -> None:
        if self.stops_after is not None and len(self.events) >= self.stops_after:
            raise Cancelled("The job was cancelled.")

    async def emit(self, kind: EventKind, data: bytes) -> None:
        self.check()
        self.events.append((kind, data))

    @property
    def deltas(self) -> list[ReplyDelta]:
        return [ReplyDelta.model_validate_json(data) for kind, data in self.events if kind == "delta"]


class Shelf:
    """Blobs whose bytes are their own address."""

    async def read(self, ref: BlobRef) -> bytes:
        return ref.uri.encode()


def asked(*parts: Part, **options: Any) -> RespondJob:
    said = parts or (TextPart(text="Hi."),)
    return RespondJob(**{"model": "gpt-audio", "messages": (Message(role="user", content=said),)} | options)


def handler(engine: Reader) -> Respond:
    return Respond(catalogue=Catalogue.load(), engines=engine, blobs=Shelf())  # type: ignore[arg-type]


async def test_pieces_go_out_as_they_come_and_add_up_to_the_reply() -> None:
    engine = Reader(
        (
            TextPiece("Let me "),
            TextPiece("look."),
            CallPiece(0, id="call_1", name="look"),
            CallPiece(0, '{"at": '),
            CallPiece(1, "{}", id="call_2", name="wait"),
            CallPiece(0, '"sky"}'),
            End("tool_calls", USAGE),
        )
    )
    page = Page()
    reply = await handler(engine)(asked(), page)
    assert [delta.text for delta in page.deltas][:2] == ["Let me ", "look."]
    assert [call.arguments for delta in page.deltas for call in delta.tool_calls] == ["", '{"at": ', "{}", '"sky"}']
    assert reply.text == "Let me look."
    assert reply.tool_calls == (
        ToolCall(id="call_1", name="look", arguments='{"at": "sky"}'),
        ToolCall(id="call_2", name="wait", arguments="{}"),
    )
    assert (reply.finish_reason, reply.usage, reply.spoken) == ("tool_calls", USAGE, False)


async def test_a_refusal_is_told_apart_from_an_answer() -> None:
    page = Page()
    reply = await handler(Reader((RefusalPiece("I cannot "), RefusalPiece("do that."), END)))(asked(), page)
    assert [delta.refusal for delta in page.deltas] == ["I cannot ", "do that."]
    assert (reply.text, reply.refusal, reply.fingerprint) == ("", "I cannot do that.", "q4")


async def test_sound_goes_out_in_events_of_bounded_size() -> None:
    engine = Reader((TextPiece("Aaah."), SoundPiece(bytes(2 * EVENT_BYTES + 10)), END), speaks=True)
    page = Page()
    reply = await handler(engine)(asked(voice="alloy"), page)
    assert [len(data) for kind, data in page.events if kind == "audio"] == [EVENT_BYTES, EVENT_BYTES, 10]
    assert reply.spoken
    assert engine.prompts[0].voice == "alloy"


async def test_only_an_engine_that_hears_is_given_recordings() -> None:
    part = AudioPart(audio=BlobRef(uri="redis:hello"), transcript="Hello.")
    deaf, hearing = Reader((END,)), Reader((END,), hears=True)
    for engine in (deaf, hearing):
        await handler(engine)(asked(part), Page())
    assert deaf.prompts[0].recordings == {}
    assert hearing.prompts[0].recordings == {"redis:hello": b"redis:hello"}


@pytest.mark.parametrize(
    ("part", "message"),
    [
        (AudioPart(audio=BlobRef(uri="redis:hello")), "cannot hear"),
        (ImagePart(url="https://example.com/cat.png"), "cannot see"),
    ],
    ids=["audio", "image"],
)
async def test_what_the_model_cannot_take_in_is_refused_where_it_stands(part: Part, message: str) -> None:
    engine = Reader((END,))
    with pytest.raises(InvalidValue, match=message) as raised:
        await handler(engine)(asked(part), Page())
    assert raised.value.param == "messages[0].content"
    assert not engine.prompts


async def test_a_model_that_is_not_there_is_not_found() -> None:
    with pytest.raises(ModelNotFound):
        await handler(Reader((END,)))(asked(model="whisper-1"), Page())


@pytest.mark.parametrize("restart", [True, False], ids=["may restart", "may not"])
async def test_an_answer_that_broke_off_is_given_up_where_it_may_not_restart(restart: bool) -> None:
    error = UpstreamFailed("It broke off.")
    with pytest.raises(UpstreamFailed if restart else GivenUp):
        await handler(Reader((TextPiece("So "),), error))(asked(restart=restart), Page())
    with pytest.raises(UpstreamFailed):  # nothing was said: another attempt takes nothing back
        await handler(Reader((), error))(asked(restart=restart), Page())


async def test_an_attempt_that_is_stopped_stops_the_engine() -> None:
    engine = Reader((TextPiece("one "), TextPiece("two "), TextPiece("three "), END))
    with pytest.raises(Cancelled):
        await handler(engine)(asked(restart=False), Page(stops_after=2))
    await asyncio.sleep(0)
    assert engine.closed
