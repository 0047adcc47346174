"""Chunks as servers send them, into pieces."""

from __future__ import annotations

import base64
from typing import Any

import pytest

from antiphon.schemas import RatedToken, WrittenToken
from services.responder.engines import CallPiece, End, Piece, RefusalPiece, SoundPiece, TextPiece
from services.responder.engines.upstream_answer import Answer
from services.responder.engines.upstream_chunks import is_error, read_chunk, read_json
from services.responder.engines.upstream_errors import Broken

pytestmark = pytest.mark.unit

Sent = dict[str, Any]


def delta(delta: Sent | None, finish_reason: str | None = None, **rest: Any) -> Sent:
    """Return a chunk with one choice."""
    return {"choices": [{"index": 0, "delta": delta, "finish_reason": finish_reason, **rest}]}


def read(*chunks: Sent, logprobs: bool = False, rough_prompt_tokens: int = 0) -> list[Piece]:
    """Return the pieces of a whole answer."""
    answer = Answer(logprobs=logprobs, rough_prompt_tokens=rough_prompt_tokens)
    return [piece for chunk in chunks for piece in answer.add(read_chunk(chunk))] + answer.end()


def ended(pieces: list[Piece]) -> End:
    """Return the last piece."""
    end = pieces[-1]
    assert isinstance(end, End)
    return end


def calls(pieces: list[Piece]) -> list[tuple[str | None, str]]:
    """Return the name and the arguments of each call; checks that numbers have no gaps and ids come once."""
    found: dict[int, tuple[str | None, str]] = {}
    ids = []
    for piece in pieces:
        if isinstance(piece, CallPiece):
            name, arguments = found.get(piece.index, (piece.name, ""))
            assert (piece.index in found) == (piece.name is None)
            found[piece.index] = name, arguments + piece.arguments
            ids += [piece.id] if piece.name else []
    assert sorted(found) == list(range(len(found)))
    assert len(set(ids)) == len(ids) and all(ids)
    return [found[index] for index in sorted(found)]


def test_text_goes_through_piece_by_piece() -> None:
    pieces = read(
        delta({"role": "assistant", "content": ""}),
        delta({"content": "Hel"}),
        delta({"content": "lo"}),
        delta({}, "stop") | {"system_fingerprint": "fp_1"},
        {
            "choices": [],
            "usage": {
                "prompt_tokens": 10,
                "completion_tokens": 5,
                "prompt_tokens_details": {"cached_tokens": 4, "audio_tokens": 3, "image_tokens": None},
                "completion_tokens_details": {"reasoning_tokens": 2, "audio_tokens": 1},
            },
        },
    )
    assert pieces[:-1] == [TextPiece("Hel"), TextPiece("lo")]
    end = ended(pieces)
    assert (end.finish_reason, end.fingerprint) == ("stop", "fp_1")
    assert end.usage.model_dump() == {
        "prompt_tokens": 10,
        "completion_tokens": 5,
        "cached_tokens": 4,
        "reasoning_tokens": 2,
        "prompt_audio_tokens": 3,
        "completion_audio_tokens": 1,
        "prompt_image_tokens": 0,
    }


def test_what_azure_puts_before_the_answer_is_no_part_of_it() -> None:
    filtered = {"hate": {"filtered": False, "severity": "safe"}}
    pieces = read(
        {
            "choices": [],
            "model": "",
            "prompt_filter_results": [{"content_filter_results": filtered}],
        },
        delta({"role": "assistant", "content": "", "refusal": None}, content_filter_results={}, logprobs=None),
        delta({"content": "Hi"}, content_filter_results=filtered),
        delta({}, "content_filter"),
    )
    assert pieces[:-1] == [TextPiece("Hi")]
    assert ended(pieces).finish_reason == "content_filter"


def test_thoughts_are_counted_and_not_told() -> None:
    answer = Answer()
    assert answer.add(read_chunk(delta({"content": None, "reasoning_content": "Let me think about it."}))) == []
    assert answer.signs == 1
    assert answer.add(read_chunk(delta({"reasoning": "So."}))) == []
    assert answer.add(read_chunk(delta({"content": "Yes"}, "stop"))) == [TextPiece("Yes")]
    assert ended(answer.end()).usage.reasoning_tokens == 7
    counted = read(delta({"reasoning_content": "x" * 400}), delta({"content": "y"}, "stop"), {"usage": COUNTS})
    assert ended(counted).usage.reasoning_tokens == COUNTS["completion_tokens"]


COUNTS = {"prompt_tokens": 3, "completion_tokens": 9, "total_tokens": 12}


def test_counts_in_each_chunk_are_counted_once() -> None:
    first = {"usage": {"prompt_tokens": 3, "completion_tokens": 1}}
    pieces = read(delta({"content": "a"}) | first, delta({"content": "b"}, "stop") | {"usage": COUNTS})
    assert ended(pieces).usage.completion_tokens == 9


def test_a_server_that_does_not_count_is_counted_for() -> None:
    pieces = read(delta({"content": "Twenty bytes of text"}, "length"), rough_prompt_tokens=12)
    assert ended(pieces).usage.model_dump(include={"prompt_tokens", "completion_tokens"}) == {
        "prompt_tokens": 12,
        "completion_tokens": 5,
    }


@pytest.mark.parametrize(
    ("reason", "told"),
    [
        ("stop", "stop"),
        ("length", "length"),
        ("max_tokens", "length"),
        ("content_filter", "content_filter"),
        ("eos", "stop"),
        ("abort", "stop"),
    ],
)
def test_every_reason_is_one_of_the_known(reason: str, told: str) -> None:
    assert ended(read(delta({"content": "x"}, reason))).finish_reason == told


def test_a_refusal_is_told_apart_from_text() -> None:
    assert read(delta({"refusal": "No."}, "stop"))[0] == RefusalPiece("No.")


def test_content_in_parts_is_joined() -> None:
    parts = [{"type": "thinking", "text": "hm"}, {"type": "text", "text": "a"}, {"type": "text", "text": "b"}]
    assert read(delta({"content": parts}, "stop"))[0] == TextPiece("ab")


def test_only_the_first_answer_counts() -> None:
    second = {"choices": [{"index": 1, "delta": {"content": "other"}, "finish_reason": None}]}
    assert read(delta({"content": "one"}), second, delta({}, "stop"))[:-1] == [TextPiece("one")]


def test_log_probabilities_are_told_when_they_were_asked_for() -> None:
    rated = {"token": "a", "logprob": -0.5, "bytes": [97]}
    sent = {"content": [rated | {"top_logprobs": [rated, {"token": "b", "logprob": -1.0}]}]}
    other = RatedToken(token="b", logprob=-1.0)
    same = RatedToken(token="a", logprob=-0.5, bytes=(97,))
    chunk = delta({"content": "a"}, "stop", logprobs=sent)
    written = WrittenToken(token="a", logprob=-0.5, bytes=(97,), top_logprobs=(same, other))
    assert read(chunk, logprobs=True)[0] == TextPiece("a", (written,))
    assert read(chunk)[0] == TextPiece("a")


def call(**sent: Any) -> Sent:
    """Return a chunk with a piece of a tool call."""
    return delta({"tool_calls": [sent]})


OPENAI = [
    call(index=0, id="c1", type="function", function={"name": "weather", "arguments": ""}),
    call(index=0, function={"arguments": '{"city":'}),
    call(index=0, function={"arguments": '"Rome"}'}),
    call(index=1, id="c2", type="function", function={"name": "alarm", "arguments": ""}),
    call(index=1, function={"arguments": '{"at":7}'}),
]
REPEATS_NAME_AND_ID = [
    call(index=0, id="c1", function={"name": "weather", "arguments": '{"city":'}),
    call(index=0, id="c1", function={"name": "weather", "arguments": '"Rome"}'}),
    call(index=1, id="c2", function={"name": "alarm", "arguments": '{"at":7}'}),
]
ALL_WITH_INDEX_0 = [
    call(index=0, id="c1", function={"name": "weather", "arguments": '{"city":"Rome"}'}),
    call(index=0, id="c2", function={"name": "alarm", "arguments": '{"at":7}'}),
]
WITHOUT_INDEX = [
    call(id="c1", function={"name": "weather", "arguments": '{"city":"Rome"}'}),
    call(id="c2", function={"name": "alarm", "arguments": '{"at":'}),
    call(function={"arguments": "7}"}),
]
WITHOUT_ANYTHING = [
    call(function={"name": "weather", "arguments": {"city": "Rome"}}),
    call(function={"name": "alarm", "arguments": {"at": 7}}),
]
IN_ONE_CHUNK = [
    delta(
        {
            "content": None,
            "tool_calls": [
                {"index": 3, "id": "c1", "function": {"name": "weather", "arguments": '{"city":"Rome"}'}},
                {"index": 5, "id": "c2", "function": {"name": "alarm", "arguments": '{"at":7}'}},
            ],
        }
    )
]
NAME_AFTERWARDS = [
    call(index=0, id="c1", function=None),
    call(index=0, function={"name": "weather"}),
    call(index=0, function={"arguments": '{"city":"Rome"}'}),
    call(index=1, id="c2", function={"arguments": '{"at":'}),
    call(index=1, function={"name": "alarm", "arguments": "7}"}),
]


@pytest.mark.parametrize(
    "chunks",
    [
        OPENAI,
        REPEATS_NAME_AND_ID,
        ALL_WITH_INDEX_0,
        WITHOUT_INDEX,
        WITHOUT_ANYTHING,
        IN_ONE_CHUNK,
        NAME_AFTERWARDS,
    ],
)
@pytest.mark.parametrize("reason", ["tool_calls", "stop"])
def test_tool_calls_of_every_server_are_the_same(chunks: list[Sent], reason: str) -> None:
    pieces = read(*chunks, delta({}, reason))
    told = [(name, arguments.replace(" ", "")) for name, arguments in calls(pieces)]
    assert told == [("weather", '{"city":"Rome"}'), ("alarm", '{"at":7}')]
    assert ended(pieces).finish_reason == "tool_calls"


def test_a_function_without_arguments_gets_an_empty_object() -> None:
    assert calls(read(call(index=0, id="c", function={"name": "now"}), delta({}, "tool_calls"))) == [("now", "{}")]


def test_a_call_that_was_cut_by_the_limit_says_so() -> None:
    assert ended(read(OPENAI[0], delta({}, "length"))).finish_reason == "length"


def test_sound_comes_in_whole_samples() -> None:
    slices = [b"\x01\x02\x03", b"\x04", b"\x05\x06"]
    pieces = read(
        delta({"audio": {"id": "audio_1", "transcript": "Hel"}}),
        *(delta({"content": None, "audio": {"data": base64.b64encode(pcm).decode()}}) for pcm in slices),
        delta({"audio": {"transcript": "lo", "expires_at": 5}}),
        delta({}, "stop"),
    )
    assert pieces[:-1] == [
        TextPiece("Hel"),
        SoundPiece(b"\x01\x02"),
        SoundPiece(b"\x03\x04"),
        SoundPiece(b"\x05\x06"),
        TextPiece("lo"),
    ]


def test_a_whole_completion_is_read_like_a_stream() -> None:
    message = {
        "role": "assistant",
        "content": "Hi",
        "tool_calls": [{"id": "c", "type": "function", "function": {"name": "now", "arguments": "{}"}}],
    }
    pieces = read({"choices": [{"index": 0, "message": message, "finish_reason": "tool_calls"}], "usage": COUNTS})
    assert pieces[0] == TextPiece("Hi")
    assert calls(pieces) == [("now", "{}")]
    assert ended(pieces).usage.prompt_tokens == 3


@pytest.mark.parametrize(
    "chunk",
    [
        {"choices": "none"},
        {"choices": [{"delta": "text"}]},
        delta({"content": 17}),
        delta({"tool_calls": {"index": 0}}),
        delta({"audio": {"data": 5}}),
        {"choices": [], "usage": {"completion_tokens": "many"}},
        delta({"content": "x"}, logprobs={"content": [{"token": "x"}]}),
    ],
)
def test_wrong_types_are_refused_with_their_place(chunk: Sent) -> None:
    with pytest.raises(Broken, match=r"wrong shape \(at "):
        read_chunk(chunk)


@pytest.mark.parametrize("data", [b"{", b"[1]", b'"text"', b"null", b"\xff", b'{"a": NaN}', b""])
def test_what_is_no_json_object_is_refused(data: bytes) -> None:
    with pytest.raises(Broken):
        read_json(data)


@pytest.mark.parametrize(
    ("sent", "told"),
    [
        ({"error": {"message": "x"}}, True),
        ({"error": "x"}, True),
        ({"object": "error", "message": "x"}, True),
        ({"error": None, "choices": []}, False),
        ({"choices": []}, False),
    ],
)
def test_an_error_in_the_place_of_a_chunk_is_seen(sent: Sent, told: bool) -> None:
    assert is_error(sent) is told


@pytest.mark.parametrize(
    "chunks",
    [
        [],
        [delta({"role": "assistant", "content": ""})],
        [delta({"audio": {"data": "not base64!"}}, "stop")],
        [delta({"content": "x"}, "error")],
        [call(index=0, id="c", function={"arguments": "{}"}), delta({}, "tool_calls")],
        [call(index=at, id=f"c{at}", function={"name": "f"}) for at in range(200)],
    ],
)
def test_an_answer_that_makes_no_sense_is_refused(chunks: list[Sent]) -> None:
    with pytest.raises(Broken):
        read(*chunks)


def test_an_empty_answer_is_one() -> None:
    assert ended(read(delta({"role": "assistant", "content": ""}), delta({}, "stop"))).finish_reason == "stop"
