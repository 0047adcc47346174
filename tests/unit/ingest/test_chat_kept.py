"""What is kept of a completion, how lists of them are asked for, and what may be written on them."""

from __future__ import annotations

from typing import Any

import orjson
import pytest
from starlette.datastructures import QueryParams

from antiphon.errors import AntiphonError, InvalidType, InvalidValue, MissingParameter, UnknownParameter
from antiphon.schemas import BlobRef
from services.ingest.chat.pages import cut_messages, read_completion_query, read_label
from services.ingest.chat.stored import new_completion_id
from services.ingest.chat.stored_documents import (
    StoredDocument,
    described,
    kept_messages,
    sounds_of,
    with_sounds,
)

pytestmark = pytest.mark.unit

SPOKEN: dict[str, Any] = {
    "id": "chatcmpl-1",
    "object": "chat.completion",
    "model": "gpt-audio",
    "choices": [
        {
            "index": 0,
            "finish_reason": "stop",
            "message": {
                "role": "assistant",
                "content": None,
                "audio": {"id": "audio_1", "data": "U09VTkQ=", "expires_at": 9, "transcript": "Hi"},
            },
        },
    ],
}
WRITTEN: dict[str, Any] = {
    "id": "chatcmpl-2",
    "object": "chat.completion",
    "model": "gpt-4o",
    "choices": [{"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": "Hi"}}],
}


def test_a_completion_is_the_same_when_its_sound_is_put_back() -> None:
    before = orjson.dumps(SPOKEN)
    silent = with_sounds(SPOKEN, {})

    assert silent["choices"][0]["message"]["audio"]["data"] == ""
    assert silent["choices"][0]["message"]["audio"]["transcript"] == "Hi"
    assert with_sounds(silent, sounds_of(SPOKEN)) == SPOKEN
    assert orjson.dumps(SPOKEN) == before


def test_what_was_written_gets_no_audio() -> None:
    assert sounds_of(WRITTEN) == {}
    assert with_sounds(WRITTEN, {}) == WRITTEN


def test_a_stored_completion_tells_what_it_was_asked_for_with() -> None:
    body = {"temperature": 0.2, "tools": [{"type": "function"}], "user": "u1", "top_p": None, "messages": []}
    shown = described(WRITTEN, body, {"topic": "tea"})

    assert shown["temperature"] == 0.2
    assert shown["top_p"] == 1.0
    assert shown["tools"] == [{"type": "function"}]
    assert (shown["seed"], shown["tool_choice"], shown["response_format"]) == (None, None, None)
    assert shown["input_user"] == "u1"
    assert shown["metadata"] == {"topic": "tea"}
    assert "messages" not in shown


def test_a_document_is_read_as_it_was_written() -> None:
    document = StoredDocument(with_sounds(SPOKEN, {}), {0: BlobRef(uri="redis:abc", size=5)}, 1_700_000_000_123)

    assert StoredDocument.parse(document.encode()) == document


def test_messages_are_kept_without_the_recordings_pictures_and_files_that_came_with_them() -> None:
    parts = [
        {"type": "text", "text": "What is this?"},
        {"type": "input_audio", "input_audio": {"data": "QUFB" * 1000, "format": "wav"}},
        {"type": "image_url", "image_url": {"url": "DATA:image/png;base64," + "QUFB" * 1000, "detail": "low"}},
        {"type": "image_url", "image_url": {"url": "https://example.com/a.png"}},
        {"type": "file", "file": {"file_data": "QUFB" * 1000, "filename": "a.pdf"}},
    ]
    calls = [{"id": "call_1", "type": "function", "function": {"name": "f", "arguments": "{}"}}]
    kept = kept_messages(
        "chatcmpl-1",
        [
            {"role": "system", "content": "Be brief."},
            {"role": "user", "name": "Ann", "content": parts},
            {"role": "assistant", "audio": {"id": "audio_1"}, "tool_calls": calls},
            {"role": "tool", "tool_call_id": "call_1", "content": "42"},
        ],
    )

    assert [message["id"] for message in kept] == [f"chatcmpl-1-{i}" for i in range(4)]
    assert kept[0] == {
        "id": "chatcmpl-1-0",
        "role": "system",
        "name": None,
        "content": "Be brief.",
        "content_parts": None,
    }
    assert (kept[1]["name"], kept[1]["content"]) == ("Ann", None)
    assert kept[1]["content_parts"] == [
        {"type": "text", "text": "What is this?"},
        {"type": "input_audio", "input_audio": {"data": "", "format": "wav"}},
        {"type": "image_url", "image_url": {"url": "DATA:image/png;base64,", "detail": "low"}},
        {"type": "image_url", "image_url": {"url": "https://example.com/a.png"}},
        {"type": "file", "file": {"file_data": "", "filename": "a.pdf"}},
    ]
    assert (kept[2]["audio"], kept[2]["tool_calls"], kept[2]["content"]) == ({"id": "audio_1"}, calls, None)
    assert (kept[3]["tool_call_id"], kept[3]["content"]) == ("call_1", "42")
    assert len(orjson.dumps(kept)) < 1500


def test_a_picture_of_nothing_but_a_media_type_is_not_kept_whole() -> None:
    (kept,) = kept_messages(
        "c", [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": "data:" + "x" * 10_000}}]}]
    )
    assert len(orjson.dumps(kept)) < 300


def test_completion_ids_sort_by_time() -> None:
    ids = [new_completion_id(1_700_000_000 + i / 10_000) for i in range(100)]

    assert ids == sorted(ids)
    assert len({new_completion_id(1.0) for _ in range(100)}) == 100


def test_a_list_begins_with_the_oldest_and_has_twenty_unless_asked_otherwise() -> None:
    query = read_completion_query(QueryParams(""))

    assert (query.page.limit, query.page.after, query.newest_first, query.filters) == (20, None, False, False)
    assert query.matches({"model": "any", "metadata": {}})


def test_a_list_is_filtered_by_model_and_by_all_of_the_metadata() -> None:
    query = read_completion_query(QueryParams("model=m&metadata[1]=one&metadata[a[b]]=&order=desc&limit=100&after=x"))

    assert (query.page.limit, query.page.after, query.newest_first) == (100, "x", True)
    assert query.matches({"model": "m", "metadata": {"1": "one", "a[b]": "", "more": "x"}})
    assert not query.matches({"model": "n", "metadata": {"1": "one", "a[b]": ""}})
    assert not query.matches({"model": "m", "metadata": {"1": "one"}})


@pytest.mark.parametrize(
    ("query", "param"),
    [
        ("limit=0", "limit"),
        ("limit=101", "limit"),
        ("limit=", "limit"),
        ("limit=1e1", "limit"),
        ("limit=٣", "limit"),
        ("limit=" + "9" * 5000, "limit"),
        ("order=random", "order"),
        ("metadata=x", "metadata"),
    ],
)
def test_a_list_that_cannot_be_is_refused(query: str, param: str) -> None:
    with pytest.raises(InvalidValue) as refused:
        read_completion_query(QueryParams(query))
    assert refused.value.param == param
    assert len(refused.value.message) < 300


def test_messages_come_in_pages() -> None:
    messages = [{"id": f"c-{i}"} for i in range(5)]

    def cut(query: str) -> tuple[list[str], bool]:
        page, has_more = cut_messages(messages, QueryParams(query))
        return [message["id"] for message in page], has_more

    assert cut("limit=2") == (["c-0", "c-1"], True)
    assert cut("limit=2&after=c-2") == (["c-3", "c-4"], False)
    assert cut("limit=2&order=desc") == (["c-4", "c-3"], True)
    assert cut("order=desc&after=c-1") == (["c-0"], False)
    with pytest.raises(InvalidValue) as refused:
        cut("after=c-9")
    assert refused.value.param == "after"


def test_metadata_of_sixteen_short_pairs_is_accepted() -> None:
    most = {f"{i:064d}": "v" * 512 for i in range(16)}

    assert read_label({"metadata": most}) == most
    assert read_label({"metadata": None}) == {}


@pytest.mark.parametrize(
    ("body", "error", "param"),
    [
        ({}, MissingParameter, "metadata"),
        ({"metadata": {}, "model": "x"}, UnknownParameter, "model"),
        ({"metadata": []}, InvalidType, "metadata"),
        ({"metadata": "x"}, InvalidType, "metadata"),
        ({"metadata": {str(i): "" for i in range(17)}}, InvalidValue, "metadata"),
        ({"metadata": {"k" * 65: ""}}, InvalidValue, "metadata"),
        ({"metadata": {"k": 1}}, InvalidType, "metadata.k"),
        ({"metadata": {"k": None}}, MissingParameter, "metadata.k"),
        ({"metadata": {"k": "v" * 513}}, InvalidValue, "metadata.k"),
    ],
)
def test_what_cannot_be_written_on_a_completion_is_refused(
    body: dict[str, Any], error: type[AntiphonError], param: str
) -> None:
    with pytest.raises(error) as refused:
        read_label(body)
    assert refused.value.param == param
