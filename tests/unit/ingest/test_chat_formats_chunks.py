from __future__ import annotations

import base64
from collections.abc import Iterable
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from openai.lib.streaming.chat import ChatCompletionStreamState
from openai.types.chat import ChatCompletion, ChatCompletionChunk

from antiphon.dialogue.events import Called, Ended, Refused, Restarted, Sounded, TurnEvent, Wrote
from antiphon.errors import Failure
from antiphon.schemas import Reply, ReplyUsage, ToolCall, ToolCallDelta, WrittenToken
from services.ingest.chat.request import ChatRequest
from services.ingest.formats.chat import AnswerAudio, Completion
from services.ingest.formats.chat_chunks import SLICE_BYTES, Chunks, SpokenId
from services.ingest.formats.chat_usage import usage_of

pytestmark = pytest.mark.unit

SPOKEN = SpokenId(id="audio_1", expires_at=1_730_000_000)
USAGE = ReplyUsage(prompt_tokens=9, completion_tokens=8)


def completion(**options: Any) -> Completion:
    return Completion(id="chatcmpl-1", created=1, model="gpt-audio", request=ChatRequest(messages=(), **options))


def chunks_of(
    events: Iterable[TurnEvent], *, spoken: SpokenId | None = None, heard_s: float = 0.0, **options: Any
) -> list[dict[str, Any]]:
    machine = Chunks(completion(**options), spoken=spoken, heard_s=heard_s)
    chunks = [chunk for event in events for chunk in machine(event)]
    for chunk in chunks:
        ChatCompletionChunk.model_validate(chunk, strict=True)
    return chunks


def deltas(chunks: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [choice["delta"] for chunk in chunks for choice in chunk["choices"]]


def joined(chunks: list[dict[str, Any]]) -> dict[str, Any]:
    """Join chunks as the official client does."""
    state: ChatCompletionStreamState[Any] = ChatCompletionStreamState()
    for chunk in chunks:
        list(state.handle_chunk(ChatCompletionChunk.model_validate(chunk)))
    return comparable(state.get_final_completion().model_dump())


def comparable(body: dict[str, Any]) -> dict[str, Any]:
    """Return what the two ways of answering have in common, without what is null."""
    message = body["choices"][0]["message"]
    message.pop("annotations", None)
    for call in message.get("tool_calls") or ():
        call.pop("index", None)
    dumped = ChatCompletion.model_validate(body).model_dump(exclude_none=True)
    for call in dumped["choices"][0]["message"].get("tool_calls", ()):
        call["function"].pop("parsed_arguments", None)
    return dumped


def token(text: str) -> WrittenToken:
    return WrittenToken(token=text, logprob=-0.5, bytes=tuple(text.encode()))


def test_text_is_written_as_it_comes() -> None:
    chunks = chunks_of([Wrote("Hel"), Wrote("lo."), Ended(Reply(text="Hello.", fingerprint="0a"))])
    assert deltas(chunks) == [
        {"role": "assistant", "content": "", "refusal": None},
        {"content": "Hel"},
        {"content": "lo."},
        {},
    ]
    assert [chunk["choices"][0]["finish_reason"] for chunk in chunks] == [None, None, None, "stop"]
    assert all("usage" not in chunk and "obfuscation" not in chunk for chunk in chunks)
    assert {(chunk["id"], chunk["created"], chunk["model"], chunk["service_tier"]) for chunk in chunks} == {
        ("chatcmpl-1", 1, "gpt-audio", "default")
    }
    assert chunks[-1]["system_fingerprint"] == "fp_0a"


def test_a_spoken_answer_is_told_in_parts() -> None:
    events: list[TurnEvent] = [
        Wrote("Hel"),
        Wrote("lo."),
        Sounded(bytes(12)),
        Ended(Reply(text="Hello."), speech_s=1.0),
    ]
    chunks = chunks_of(events, spoken=SPOKEN, heard_s=1.0, include_usage=True)
    assert deltas(chunks) == [
        {
            "role": "assistant",
            "content": None,
            "refusal": None,
            "audio": {"id": "audio_1", "transcript": "Hel"},
        },
        {"audio": {"transcript": "lo."}},
        {"audio": {"data": "A" * 16}},
        {"audio": {"expires_at": 1_730_000_000}},
        {},
    ]
    assert [chunk["usage"] for chunk in chunks[:-1]] == [None] * 5
    assert chunks[-1]["choices"] == []
    assert chunks[-1]["usage"]["completion_tokens_details"]["audio_tokens"] == 20
    assert chunks[-1]["usage"]["prompt_tokens_details"]["audio_tokens"] == 10


def test_calls_name_themselves_once() -> None:
    events: list[TurnEvent] = [
        Called((ToolCallDelta(index=0, id="call_1", name="f"),)),
        Called((ToolCallDelta(index=0, arguments='{"a":'), ToolCallDelta(index=0, arguments="1}"))),
        Called((ToolCallDelta(index=1, id="call_2", name="g", arguments="{}"),)),
        Ended(Reply(finish_reason="tool_calls")),
    ]
    first, *others = deltas(chunks_of(events, spoken=SPOKEN))
    assert first == {
        "role": "assistant",
        "content": None,
        "refusal": None,
        "tool_calls": [
            {"index": 0, "id": "call_1", "type": "function", "function": {"name": "f", "arguments": ""}},
        ],
    }
    assert others == [
        {"tool_calls": [{"index": 0, "function": {"arguments": '{"a":'}}]},
        {"tool_calls": [{"index": 0, "function": {"arguments": "1}"}}]},
        {
            "tool_calls": [
                {"index": 1, "id": "call_2", "type": "function", "function": {"name": "g", "arguments": "{}"}}
            ]
        },
        {},
    ]


def test_an_answer_that_is_empty_has_a_beginning_and_an_end() -> None:
    for spoken in (None, SPOKEN):
        assert deltas(chunks_of([Ended(Reply())], spoken=spoken)) == [
            {"role": "assistant", "content": "", "refusal": None},
            {},
        ]


def test_slices_are_small_and_may_be_joined_before_they_are_decoded() -> None:
    pcm = bytes(range(256)) * 400
    bounds = [0, 1, 4, 11, 50_011, 50_013, len(pcm)]
    parts = (pcm[start:end] for start, end in pairwise(bounds))
    chunks = chunks_of([*(Sounded(part) for part in parts), Ended(Reply(text=""))], spoken=SPOKEN)
    data = [delta["audio"]["data"] for delta in deltas(chunks) if "data" in delta.get("audio", {})]
    decoded = [base64.b64decode(slice_, validate=True) for slice_ in data]
    assert all(0 < len(slice_) <= SLICE_BYTES and len(slice_) % 2 == 0 for slice_ in decoded)
    assert b"".join(decoded) == pcm
    assert base64.b64decode("".join(data), validate=True) == pcm


def test_obfuscation_evens_out_the_length_of_what_is_written() -> None:
    events: list[TurnEvent] = [Wrote("a"), Wrote("é" * 20), Refused("b"), Ended(Reply(text="a"))]
    padded = [chunk for chunk in chunks_of(events, obfuscated=True) if "obfuscation" in chunk]
    assert len(padded) == 3
    for chunk in padded:
        delta = chunk["choices"][0]["delta"]
        text = delta.get("content") or delta.get("refusal")
        assert (len(text.encode()) + len(chunk["obfuscation"])) % 32 == 0


def test_what_was_sent_cannot_be_taken_back() -> None:
    machine = Chunks(completion())
    assert list(machine(Restarted())) == []
    list(machine(Wrote("a")))
    with pytest.raises(Failure):
        list(machine(Restarted()))


CALLS = (ToolCall(id="call_1", name="f", arguments='{"a":1}'), ToolCall(id="call_2", name="g", arguments="{}"))
CALL_EVENTS: tuple[TurnEvent, ...] = (
    Called((ToolCallDelta(index=0, id="call_1", name="f"),)),
    Called((ToolCallDelta(index=0, arguments='{"a":1}'),)),
    Called((ToolCallDelta(index=1, id="call_2", name="g", arguments="{}"),)),
)


@pytest.mark.parametrize("include_usage", [True, False])
@pytest.mark.parametrize(
    ("events", "reply", "spoken"),
    [
        ((Wrote("Hel"), Wrote("lo.")), Reply(text="Hello."), False),
        (
            (Wrote("Hel", (token("Hel"),)), Wrote("lo", ()), Wrote(".", (token("lo"), token(".")))),
            Reply(text="Hello.", logprobs=(token("Hel"), token("lo"), token("."))),
            False,
        ),
        ((Refused("N"), Refused("o.")), Reply(refusal="No."), False),
        ((), Reply(), False),
        (CALL_EVENTS, Reply(tool_calls=CALLS, finish_reason="tool_calls"), False),
        (
            (Wrote("Wait."), *CALL_EVENTS),
            Reply(text="Wait.", tool_calls=CALLS, finish_reason="tool_calls"),
            False,
        ),
        (
            (Wrote("Hel"), Sounded(bytes(7)), Wrote("lo."), Sounded(bytes(40_001))),
            Reply(text="Hello."),
            True,
        ),
        (
            (Wrote("Wait."), Sounded(bytes(8)), *CALL_EVENTS, Sounded(bytes(40_000))),
            Reply(text="Wait.", tool_calls=CALLS, finish_reason="tool_calls"),
            True,
        ),
        (
            (Called((ToolCallDelta(index=0, id="call_1", name="f", arguments="{}"),)), Sounded(bytes(8)), Wrote("Ok")),
            Reply(text="Ok", tool_calls=(ToolCall(id="call_1", name="f", arguments="{}"),)),
            True,
        ),
    ],
)
def test_the_official_client_joins_chunks_to_the_whole_answer(
    events: tuple[TurnEvent, ...], reply: Reply, spoken: bool, include_usage: bool
) -> None:
    reply = reply.model_copy(update={"usage": USAGE, "fingerprint": "0a"})
    pcm = b"".join(event.pcm for event in events if isinstance(event, Sounded))
    audio = AnswerAudio(SPOKEN.id, pcm, SPOKEN.expires_at, reply.text) if spoken else None
    usage = usage_of(reply, heard_s=2.0, speech_s=1.0)
    whole = comparable(completion().whole(reply, usage=usage, audio=audio))
    if not include_usage:
        del whole["usage"]
    chunks = chunks_of(
        [*events, Ended(reply, speech_s=1.0)],
        spoken=SPOKEN if spoken else None,
        heard_s=2.0,
        include_usage=include_usage,
        obfuscated=True,
    )
    assert joined(chunks) == whole


@settings(max_examples=100, deadline=None)
@given(texts=st.lists(st.text(max_size=5), min_size=1), sounds=st.lists(st.binary(max_size=50)), order=st.randoms())
def test_no_word_and_no_sample_is_lost_in_any_order(texts: list[str], sounds: list[bytes], order: Any) -> None:
    events: list[TurnEvent] = [Wrote(text) for text in texts]
    for sound in sounds:
        events.insert(order.randint(0, len(events)), Sounded(sound))
    pcm = b"".join(event.pcm for event in events if isinstance(event, Sounded))
    said = [delta.get("audio", {}) for delta in deltas(chunks_of([*events, Ended(Reply())], spoken=SPOKEN))]
    assert "".join(audio.get("transcript", "") for audio in said) == "".join(texts)
    assert b"".join(base64.b64decode(audio.get("data", "")) for audio in said) == pcm[: len(pcm) // 2 * 2]
    assert sum("id" in audio for audio in said) == sum("expires_at" in audio for audio in said) == 1
