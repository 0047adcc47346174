"""Stored completions through the door, with the official client."""

from __future__ import annotations

import base64
from collections.abc import AsyncIterator
from typing import Any

import httpx
import openai
import pytest

from services.ingest.access.keyring import Keyring
from services.ingest.chat.settings import ChatSettings
from services.ingest.chat.stored import StoredCompletions, new_completion_id
from tests.integration.ingest.conftest import KEY, OTHER_KEY, Door

pytestmark = pytest.mark.integration

SOUND = base64.b64encode(b"RIFF" + bytes(1000)).decode()
MESSAGES = [
    {"role": "system", "content": "Be brief."},
    {"role": "user", "content": [{"type": "text", "text": "What is this?"}]},
    {"role": "assistant", "content": "A bell."},
]


@pytest.fixture
async def client(door: Door) -> AsyncIterator[openai.AsyncOpenAI]:
    async with openai.AsyncOpenAI(base_url=f"{door.client.base_url}/v1", api_key=KEY, max_retries=0) as opened:
        yield opened


@pytest.fixture
async def other_client(door: Door) -> AsyncIterator[openai.AsyncOpenAI]:
    async with openai.AsyncOpenAI(base_url=f"{door.client.base_url}/v1", api_key=OTHER_KEY, max_retries=0) as opened:
        yield opened


async def store(door: Door, number: int = 0, **metadata: str) -> str:
    """Store a completion as a request with `store` does; return its id."""
    chat = ChatSettings()
    index = door.bus.index("completions", chat.chat_store_ttl, chat.chat_stored_limit)
    stored = StoredCompletions(index, door.bus.values, door.blobs, chat, now_ms=door.bus.now_ms)
    completion_id = new_completion_id(1_900_000_000 + number)
    audio = {"id": "audio_1", "data": SOUND, "expires_at": 1_900_000_000, "transcript": f"Answer {number}."}
    message = {"role": "assistant", "content": None, "refusal": None, "audio": audio}
    made = {
        "id": completion_id,
        "object": "chat.completion",
        "created": 1_900_000_000 + number,
        "model": ("gpt-audio", "gpt-4o")[number % 2],
        "choices": [{"index": 0, "finish_reason": "stop", "logprobs": None, "message": message}],
        "usage": {"prompt_tokens": 1, "completion_tokens": 2, "total_tokens": 3},
    }
    principal = Keyring.parse(KEY).find(KEY)
    assert principal is not None
    await stored.put(made, tenant=principal.tenant, body={"messages": MESSAGES}, metadata=metadata)
    return completion_id


async def test_a_stored_completion_is_read_with_its_audio(door: Door, client: openai.AsyncOpenAI) -> None:
    kept = await store(door, topic="bells")

    found = await client.chat.completions.retrieve(kept)

    assert (found.id, found.object, found.model, found.metadata) == (
        kept,
        "chat.completion",
        "gpt-audio",
        {"topic": "bells"},
    )
    audio = found.choices[0].message.audio
    assert audio is not None
    assert (audio.data, audio.transcript) == (SOUND, "Answer 0.")
    assert found.usage is not None
    assert found.usage.total_tokens == 3


async def test_the_client_walks_through_all_pages(door: Door, client: openai.AsyncOpenAI) -> None:
    kept = [await store(door, number, all="1", odd=str(number % 2)) for number in range(7)]

    assert [each.id async for each in client.chat.completions.list(limit=3)] == kept
    assert [each.id async for each in client.chat.completions.list(limit=2, order="desc")] == kept[::-1]
    assert [each.id async for each in client.chat.completions.list(limit=1, model="gpt-4o")] == kept[1::2]
    even = client.chat.completions.list(limit=2, metadata={"all": "1", "odd": "0"})
    assert [each.id async for each in even] == kept[::2]


async def test_a_list_is_in_the_shape_of_the_api(door: Door) -> None:
    kept = [await store(door, number) for number in range(3)]

    listed = (await door.client.get("/openai/v1/chat/completions", params={"limit": 2})).json()

    assert listed["object"] == "list"
    assert (listed["first_id"], listed["last_id"], listed["has_more"]) == (kept[0], kept[1], True)
    assert [each["choices"][0]["message"]["audio"]["data"] for each in listed["data"]] == ["", ""]
    nothing = (await door.other.get("/v1/chat/completions")).json()
    assert nothing == {"object": "list", "data": [], "first_id": None, "last_id": None, "has_more": False}


async def test_who_deletes_page_by_page_deletes_all(door: Door, client: openai.AsyncOpenAI) -> None:
    kept = [await store(door, number) for number in range(7)]

    deleted = [await client.chat.completions.delete(each.id) async for each in client.chat.completions.list(limit=2)]

    assert [(each.id, each.deleted, each.object) for each in deleted] == [
        (each, True, "chat.completion.deleted") for each in kept
    ]
    assert [each async for each in client.chat.completions.list()] == []


async def test_metadata_is_replaced_by_its_owner(door: Door, client: openai.AsyncOpenAI) -> None:
    kept = await store(door, topic="bells")

    changed = await client.chat.completions.update(kept, metadata={"seen": "yes"})
    assert changed.metadata == {"seen": "yes"}
    assert (await client.chat.completions.retrieve(kept)).metadata == {"seen": "yes"}
    assert (await client.chat.completions.update(kept, metadata=None)).metadata == {}

    for body, param in (
        ({}, "metadata"),
        ({"metadata": {"a": 1}}, "metadata.a"),
        ({"metadata": {}, "store": False}, "store"),
    ):
        refused = await door.client.post(f"/v1/chat/completions/{kept}", json=body)
        assert (refused.status_code, refused.json()["error"]["param"]) == (400, param)


async def test_the_messages_of_a_completion_are_listed(door: Door, client: openai.AsyncOpenAI) -> None:
    kept = await store(door)

    found = [each async for each in client.chat.completions.messages.list(kept, limit=2)]

    assert [(each.id, str(each.role)) for each in found] == [
        (f"{kept}-0", "system"),
        (f"{kept}-1", "user"),
        (f"{kept}-2", "assistant"),
    ]
    assert (found[0].content, found[0].content_parts) == ("Be brief.", None)
    assert found[1].content is None
    assert [part.to_dict() for part in found[1].content_parts or ()] == [{"type": "text", "text": "What is this?"}]
    newest = [each.id async for each in client.chat.completions.messages.list(kept, limit=1, order="desc")]
    assert newest == [f"{kept}-2", f"{kept}-1", f"{kept}-0"]


async def test_what_is_somebody_elses_is_not_found(door: Door, other_client: openai.AsyncOpenAI) -> None:
    kept = await store(door)
    completions = other_client.chat.completions

    async def messages() -> Any:
        return await completions.messages.list(kept)

    for asked in (
        completions.retrieve(kept),
        completions.update(kept, metadata={}),
        completions.delete(kept),
        messages(),
    ):
        with pytest.raises(openai.NotFoundError) as unknown:
            await asked
        assert unknown.value.body == {
            "message": f"No chat completion found with id '{kept}'.",
            "type": "invalid_request_error",
            "param": "completion_id",
            "code": None,
        }


@pytest.mark.parametrize(
    "path", ["%00", "chatcmpl-%00", "..%2f..%2fmodels", "a%2Fb", "%2e%2e", "*", "%F0%9F%94%94", "%ff%fe", "x" * 8000]
)
async def test_a_path_that_cannot_be_is_not_found(door: Door, path: str) -> None:
    url = httpx.URL(f"{door.client.base_url}/v1/chat/completions/{path}")

    for reply in (
        await door.client.get(url),
        await door.client.post(url, json={"metadata": {}}),
        await door.client.delete(url),
        await door.client.get(f"{url}/messages"),
    ):
        assert reply.status_code in {404, 405}, reply.text
        error = reply.json()["error"]
        assert error["type"] == "invalid_request_error"
        assert len(error["message"]) < 9000


@pytest.mark.parametrize(
    ("query", "param"),
    [
        ("limit=0", "limit"),
        ("limit=1000", "limit"),
        ("order=up", "order"),
        ("after=%00", "after"),
        (f"after={'x' * 5000}", "after"),
        ("metadata=x", "metadata"),
    ],
)
async def test_a_query_that_cannot_be_is_refused(door: Door, query: str, param: str) -> None:
    refused = await door.client.get(f"/v1/chat/completions?{query}")

    assert (refused.status_code, refused.json()["error"]["param"]) == (400, param)
    assert len(refused.text) < 500


async def test_nobody_reads_without_a_key(door: Door) -> None:
    kept = await store(door)
    async with httpx.AsyncClient(base_url=door.client.base_url, trust_env=False) as anyone:
        for path in ("", f"/{kept}", f"/{kept}/messages"):
            assert (await anyone.get(f"/v1/chat/completions{path}")).status_code == 401
