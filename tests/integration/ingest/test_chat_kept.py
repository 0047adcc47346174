"""What is kept of conversations: by every replica, through restarts, for its time, and for its owner alone."""

from __future__ import annotations

import asyncio
import base64
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from datetime import timedelta
from functools import partial
from typing import Any

import pytest

from antiphon.blobs import Blobs
from antiphon.errors import InvalidValue, NotFound, Unavailable
from antiphon.models import Catalogue
from antiphon.schemas import BlobRef
from antiphon.settings import BlobSettings, BusSettings
from services.ingest.chat.heard import MAX_BYTES, Heard, fingerprint_of
from services.ingest.chat.pages import CompletionQuery
from services.ingest.chat.remembered import AudioExpired, AudioNotFound, RememberedAnswers
from services.ingest.chat.settings import ChatSettings
from services.ingest.chat.stored import CompletionNotFound, CompletionPage, StoredCompletions, new_completion_id
from services.ingest.parameters.pages import Page
from services.ingest.platform import Platform, open_platform
from services.ingest.settings import IngestSettings
from tests.eventually import eventually
from tests.servers import Server

pytestmark = pytest.mark.integration

TENANT, OTHER = "key-mine", "key-other"
SOUND = bytes(range(256)) * 40
BODY: dict[str, Any] = {
    "model": "gpt-audio",
    "temperature": 0.5,
    "messages": [
        {"role": "system", "content": "Be brief."},
        {
            "role": "user",
            "content": [
                {"type": "text", "text": "Listen:"},
                {"type": "input_audio", "input_audio": {"data": "QUFB" * 10_000, "format": "wav"}},
            ],
        },
    ],
}


def open_replica(server: Server, **chat: Any) -> AbstractAsyncContextManager[Platform]:
    settings = IngestSettings(bus=BusSettings(redis_url=server.url), blobs=BlobSettings(), chat=ChatSettings(**chat))
    return open_platform(settings, Catalogue.load())


@asynccontextmanager
async def open_two(server: Server, **chat: Any) -> AsyncIterator[tuple[Platform, Platform]]:
    async with open_replica(server, **chat) as one, open_replica(server, **chat) as two:
        yield one, two


@pytest.fixture
async def replicas(server: Server) -> AsyncIterator[tuple[Platform, Platform]]:
    async with open_two(server) as both:
        yield both


def now_s(platform: Platform) -> float:
    return platform.bus.now_ms() / 1000


def completion(
    completion_id: str, *, text: str = "Hi.", model: str = "gpt-audio", sound: bytes = SOUND
) -> dict[str, Any]:
    audio = {
        "id": "audio_1",
        "data": base64.b64encode(sound).decode(),
        "expires_at": 1_900_000_000,
        "transcript": text,
    }
    message = {"role": "assistant", "content": None, "refusal": None, "audio": audio}
    return {
        "id": completion_id,
        "object": "chat.completion",
        "created": 1,
        "model": model,
        "choices": [{"index": 0, "finish_reason": "stop", "logprobs": None, "message": message}],
        "usage": {"prompt_tokens": 1, "completion_tokens": 2, "total_tokens": 3},
    }


async def store(platform: Platform, text: str = "Hi.", *, tenant: str = TENANT, **options: Any) -> str:
    """Store a completion of now; return its id."""
    metadata = options.pop("metadata", {})
    completion_id = new_completion_id(now_s(platform))
    made = completion(completion_id, text=text, **options)
    await platform.stored.put(made, tenant=tenant, body=BODY, metadata=metadata)
    # Ids of one millisecond are in no order of their own.
    await asyncio.sleep(0.002)
    return completion_id


async def page(platform: Platform, *, tenant: str = TENANT, limit: int = 20, **query: Any) -> CompletionPage:
    after, newest_first = query.pop("after", None), query.pop("newest_first", False)
    wanted = CompletionQuery(page=Page(after=after, limit=limit), newest_first=newest_first, **query)
    return await platform.stored.page(wanted, tenant=tenant)


async def ids(platform: Platform, **query: Any) -> list[str]:
    return [each["id"] for each in (await page(platform, **query)).completions]


def keys(server: Server, pattern: str = "*") -> list[bytes]:
    found: list[bytes] = server.do("KEYS", pattern)
    return sorted(found)


async def answers(platform: Platform) -> bool:
    """Tell whether the platform has found its server again."""
    try:
        await platform.bus.ping()
    except Unavailable:
        return False
    return True


# Answers that are referred to by their audio


async def test_an_answer_is_recalled_by_another_replica(replicas: tuple[Platform, Platform]) -> None:
    one, two = replicas
    audio = one.remembered.new_id(now_s(one))
    await one.remembered.remember(audio.id, "Guten Tag! Здравствуйте.", tenant=TENANT)

    said = await two.remembered.recall(audio.id, tenant=TENANT, param="messages[1].audio.id")

    assert said == "Guten Tag! Здравствуйте."
    assert audio.expires_at == pytest.approx(now_s(one) + 24 * 3600, abs=5)


async def test_an_answer_without_words_is_recalled(replicas: tuple[Platform, Platform]) -> None:
    one, two = replicas
    audio = one.remembered.new_id(now_s(one))
    await one.remembered.remember(audio.id, "", tenant=TENANT)

    assert await two.remembered.recall(audio.id, tenant=TENANT, param="p") == ""


async def test_an_answer_and_a_completion_outlive_a_crash_of_the_server(own_server: Server) -> None:
    # Otherwise the server may put off what it writes while the disk is busy.
    own_server.do("CONFIG", "SET", "appendfsync", "always")
    async with open_two(own_server) as (one, two):
        audio = one.remembered.new_id(now_s(one))
        await one.remembered.remember(audio.id, "I was there.", tenant=TENANT)
        kept = await store(one, "So was I.")
        await two.remembered.recall(audio.id, tenant=TENANT, param="p")

        own_server.kill()
        own_server.start()

        for replica in (one, two):
            await eventually(partial(answers, replica), within_s=10)
            assert await replica.remembered.recall(audio.id, tenant=TENANT, param="p") == "I was there."
            found = await replica.stored.get(kept, tenant=TENANT)
            assert found["choices"][0]["message"]["audio"]["data"] == base64.b64encode(SOUND).decode()
    assert own_server.leaks() == []


async def test_what_somebody_else_was_answered_is_unknown(replicas: tuple[Platform, Platform]) -> None:
    one, two = replicas
    audio = one.remembered.new_id(now_s(one))
    await one.remembered.remember(audio.id, "A secret.", tenant=TENANT)

    with pytest.raises(AudioNotFound) as unknown:
        await two.remembered.recall(audio.id, tenant=OTHER, param="messages[3].audio.id")

    info = unknown.value.info()
    assert (info.http_status, info.code, info.param) == (404, "audio_not_found", "messages[3].audio.id")
    assert audio.id in info.message


async def test_an_answer_that_has_expired_is_told_from_one_that_never_was(
    replicas: tuple[Platform, Platform],
) -> None:
    one, two = replicas
    later = RememberedAnswers(two.bus.values, timedelta(hours=24), now_ms=lambda: two.bus.now_ms() + 24 * 3_600_000)
    audio = one.remembered.new_id(now_s(one))
    await one.remembered.remember(audio.id, "Long ago.", tenant=TENANT)
    never = one.remembered.new_id(now_s(one))

    with pytest.raises(AudioExpired) as expired:
        await later.recall(audio.id, tenant=TENANT, param="messages[1].audio.id")
    with pytest.raises(AudioNotFound):
        await two.remembered.recall(never.id, tenant=TENANT, param="messages[1].audio.id")

    info = expired.value.info()
    assert (info.http_status, info.code, info.param) == (404, "audio_expired", "messages[1].audio.id")


async def test_an_answer_can_be_recalled_until_it_expires_and_is_gone_soon_after(server: Server) -> None:
    async with open_two(server, chat_audio_ttl=timedelta(seconds=1.5)) as (one, two):
        audio = one.remembered.new_id(now_s(one))
        await one.remembered.remember(audio.id, "Quick!", tenant=TENANT)

        async def expired() -> bool:
            try:
                await two.remembered.recall(audio.id, tenant=TENANT, param="p")
            except AudioExpired:
                return True
            # Never "unknown" before it has expired.
            return False

        await eventually(expired, within_s=5)

        assert now_s(two) >= audio.expires_at
        await eventually(lambda: not keys(server, "chat:audio:*"), within_s=5)


@pytest.mark.parametrize(
    "audio_id",
    [
        "",
        "audio_",
        "audio_1",
        "x" * 100_000,
        "audio_" + "F" * 32,
        "a\x00b",
        "audio_" + "0" * 32 + "\n",
        "../..",
        "*",
        "é",
    ],
)
async def test_an_id_that_cannot_be_is_unknown_and_never_reaches_the_server(
    replicas: tuple[Platform, Platform], server: Server, audio_id: str
) -> None:
    calls = server.commands().get("get", 0)

    with pytest.raises(AudioNotFound) as unknown:
        await replicas[0].remembered.recall(audio_id, tenant=TENANT, param="p")

    assert len(unknown.value.message) < 300
    assert server.commands().get("get", 0) == calls


# Recordings that have been heard


async def test_a_recording_is_heard_once_for_a_tenant_and_a_model(replicas: tuple[Platform, Platform]) -> None:
    one, two = replicas
    name, heard = await fingerprint_of(SOUND), Heard(text="Hello \u2028 there.", duration_s=2.5)
    await one.heard.put(name, heard, tenant=TENANT, model="whisper\x00/:*")

    assert await two.heard.get(name, tenant=TENANT, model="whisper\x00/:*") == heard
    assert await two.heard.get(name, tenant=OTHER, model="whisper\x00/:*") is None
    assert await two.heard.get(name, tenant=TENANT, model="another") is None
    assert await two.heard.get(await fingerprint_of(SOUND[1:]), tenant=TENANT, model="whisper\x00/:*") is None


async def test_large_and_small_recordings_are_named_alike() -> None:
    small, large = b"a" * 1000, b"a" * 1_000_000

    assert len({await fingerprint_of(small), await fingerprint_of(large), await fingerprint_of(b"")}) == 3
    assert await fingerprint_of(large) == await fingerprint_of(bytes(large))


async def test_a_transcript_that_is_too_long_is_not_kept(replicas: tuple[Platform, Platform], server: Server) -> None:
    one, _ = replicas
    await one.heard.put("f", Heard(text="x" * MAX_BYTES, duration_s=1.0), tenant=TENANT, model="m")

    assert keys(server) == []


async def test_a_recording_stays_known_as_long_as_it_is_sent(server: Server) -> None:
    async with open_two(server, chat_heard_ttl=timedelta(seconds=1)) as (one, two):
        await one.heard.put("f", Heard(text="Yes.", duration_s=1.0), tenant=TENANT, model="m")
        (key,) = keys(server, "chat:heard:*")
        await eventually(lambda: 0 < server.do("PTTL", key) < 700, within_s=5)

        assert await two.heard.get("f", tenant=TENANT, model="m") is not None

        assert server.do("PTTL", key) > 700
        await eventually(lambda: not keys(server), within_s=5)
        assert await two.heard.get("f", tenant=TENANT, model="m") is None


# Stored completions


async def test_a_stored_completion_is_whole_for_every_replica(
    replicas: tuple[Platform, Platform], server: Server
) -> None:
    one, two = replicas
    made = completion(new_completion_id(now_s(one)))
    await one.stored.put(made, tenant=TENANT, body=BODY, metadata={"topic": "tea"})

    found = await two.stored.get(made["id"], tenant=TENANT)

    assert {name: found[name] for name in made} == made
    assert (found["metadata"], found["temperature"], found["top_p"]) == ({"topic": "tea"}, 0.5, 1.0)
    messages = await two.stored.messages(made["id"], tenant=TENANT)
    assert [message["role"] for message in messages] == ["system", "user"]
    assert messages[1]["content_parts"][1] == {"type": "input_audio", "input_audio": {"data": "", "format": "wav"}}
    # Neither the recording nor the answer's audio is in a value that lives for weeks.
    assert all(server.do("STRLEN", key) < 2000 for key in keys(server, "chat:*"))


async def test_the_audio_of_a_stored_completion_is_empty_when_it_is_gone(
    replicas: tuple[Platform, Platform], server: Server
) -> None:
    one, two = replicas
    kept = await store(one)
    (blob,) = keys(server, "blob:*")
    server.do("DEL", blob)

    audio = (await two.stored.get(kept, tenant=TENANT))["choices"][0]["message"]["audio"]

    assert (audio["data"], audio["transcript"]) == ("", "Hi.")


async def test_a_completion_belongs_to_its_tenant_alone(replicas: tuple[Platform, Platform]) -> None:
    one, _ = replicas
    kept = await store(one)

    for asked in (
        one.stored.get(kept, tenant=OTHER),
        one.stored.messages(kept, tenant=OTHER),
        one.stored.update(kept, {"a": "b"}, tenant=OTHER),
        one.stored.delete(kept, tenant=OTHER),
    ):
        with pytest.raises(CompletionNotFound):
            await asked
    assert await ids(one, tenant=OTHER) == []
    # A place in time and nothing more: an id tells nothing about whose it is.
    assert await ids(one, tenant=OTHER, after=kept) == []
    assert await ids(one) == [kept]


async def test_completions_come_in_pages_in_either_order(replicas: tuple[Platform, Platform]) -> None:
    one, two = replicas
    made = [await store((one, two)[i % 2], f"{i}") for i in range(5)]

    first = await page(two, limit=2)
    assert ([each["id"] for each in first.completions], first.has_more) == (made[:2], True)
    last = await page(two, limit=3, after=made[1])
    assert ([each["id"] for each in last.completions], last.has_more) == (made[2:], False)
    assert await ids(two, newest_first=True, after=made[3]) == made[2::-1]
    assert await ids(two, after=made[-1]) == []
    assert [each["choices"][0]["message"]["audio"]["data"] for each in first.completions] == ["", ""]


async def test_a_list_that_is_filtered_looks_further_until_the_page_is_full(server: Server) -> None:
    async with open_replica(server) as one:
        made = [
            await store(one, sound=b"", model=f"m{i % 3}", metadata={"n": str(i % 2), "all": "1"}) for i in range(250)
        ]

        assert await ids(one, limit=100, model="m1") == made[1::3]
        assert await ids(one, limit=100, model="m1", metadata={"n": "1", "all": "1"}) == made[1::6]
        found = await page(one, limit=2, model="m2", newest_first=True, metadata={"n": "0"})
        assert ([each["id"] for each in found.completions], found.has_more) == ([made[248], made[242]], True)
        assert await ids(one, metadata={"n": "2"}) == []


async def test_who_deletes_while_listing_sees_every_completion_once(replicas: tuple[Platform, Platform]) -> None:
    one, two = replicas
    made = [await store(one, sound=b"") for _ in range(23)]
    seen: list[str] = []

    after = None
    while some := await ids(one, limit=5, after=after):
        seen += some
        await asyncio.gather(*(two.stored.delete(each, tenant=TENANT) for each in some))
        after = some[-1]

    assert seen == made
    assert await ids(two) == []


async def test_pages_are_whole_while_somebody_else_deletes(replicas: tuple[Platform, Platform]) -> None:
    one, two = replicas
    made = [await store(one, sound=b"") for _ in range(60)]
    doomed, stay = made[::2], made[1::2]

    async def delete() -> None:
        for each in doomed:
            await two.stored.delete(each, tenant=TENANT)

    async def walk() -> list[str]:
        seen: list[str] = []
        while some := await ids(one, limit=7, after=seen[-1] if seen else None):
            seen += some
        return seen

    seen, _ = await asyncio.gather(walk(), delete())

    assert [each for each in seen if each in stay] == stay
    assert len(set(seen)) == len(seen)
    assert await walk() == stay


async def test_metadata_is_replaced_and_the_rest_stays(replicas: tuple[Platform, Platform], server: Server) -> None:
    one, two = replicas
    kept = await store(one, metadata={"a": "1", "b": "2"})
    before = await one.stored.get(kept, tenant=TENANT)
    (document,) = keys(server, "chat:completion:*")
    server.do("PEXPIRE", document, 1_000_000)

    changed = await two.stored.update(kept, {"b": "3"}, tenant=TENANT)

    assert changed == before | {"metadata": {"b": "3"}}
    assert await one.stored.get(kept, tenant=TENANT) == changed
    assert await ids(one, metadata={"b": "3"}) == [kept]
    assert await ids(one, metadata={"a": "1"}) == []


async def test_a_new_label_does_not_make_a_completion_live_longer(server: Server) -> None:
    async with open_two(server, chat_store_ttl=timedelta(seconds=60)) as (one, _):
        kept = await store(one)
        later = StoredCompletions(
            one.bus.index("completions", timedelta(seconds=60), 10),
            one.bus.values,
            one.blobs,
            ChatSettings(chat_store_ttl=timedelta(seconds=60)),
            now_ms=lambda: one.bus.now_ms() + 50_000,
        )
        await later.update(kept, {"a": "b"}, tenant=TENANT)

        (document,) = keys(server, "chat:completion:*")
        assert 0 < server.do("PTTL", document) <= 10_000


async def test_a_deleted_completion_leaves_nothing(replicas: tuple[Platform, Platform], server: Server) -> None:
    one, two = replicas
    kept = await store(one)
    await two.stored.delete(kept, tenant=TENANT)

    for asked in (one.stored.get(kept, tenant=TENANT), one.stored.delete(kept, tenant=TENANT)):
        with pytest.raises(CompletionNotFound):
            await asked
    assert keys(server) == []


async def test_of_two_who_delete_one_is_told_that_it_was_there(replicas: tuple[Platform, Platform]) -> None:
    one, two = replicas
    kept = await store(one)
    told = await asyncio.gather(
        *(each.stored.delete(kept, tenant=TENANT) for each in (one, two, one, two)), return_exceptions=True
    )
    assert sorted(type(each).__name__ for each in told) == ["CompletionNotFound"] * 3 + ["NoneType"]


async def test_who_labels_while_it_is_deleted_brings_nothing_back(
    replicas: tuple[Platform, Platform], server: Server
) -> None:
    one, two = replicas
    for _ in range(20):
        kept = await store(one, sound=b"")
        label = asyncio.gather(
            *(one.stored.update(kept, {"n": str(n)}, tenant=TENANT) for n in range(3)), return_exceptions=True
        )
        await two.stored.delete(kept, tenant=TENANT)
        assert {type(each) for each in await label} <= {dict, CompletionNotFound}
        with pytest.raises(CompletionNotFound):
            await one.stored.get(kept, tenant=TENANT)
    assert keys(server) == []


async def test_the_oldest_make_room_with_all_that_belongs_to_them(server: Server) -> None:
    async with open_two(server, chat_stored_limit=3) as (one, two):
        made = [await store((one, two)[i % 2], f"{i}") for i in range(8)]

        assert await ids(one) == made[-3:]
        with pytest.raises(CompletionNotFound):
            await two.stored.get(made[0], tenant=TENANT)
        assert len(keys(server, "chat:completion:*")) == len(keys(server, "chat:messages:*")) == 3
        assert len(keys(server, "blob:*")) == 3


async def test_a_completion_expires_with_its_entry(server: Server) -> None:
    async with open_two(server, chat_store_ttl=timedelta(seconds=1)) as (one, two):
        early = await store(one)
        await eventually(lambda: not keys(server, "chat:*"), within_s=5)
        late = await store(one)

        with pytest.raises(CompletionNotFound):
            await two.stored.get(early, tenant=TENANT)
        assert await ids(two) == [late]
        await eventually(lambda: not keys(server, "index:*") and not keys(server, "chat:*"), within_s=5)


async def test_entries_of_what_has_expired_are_cleared_away_by_who_lists(
    replicas: tuple[Platform, Platform], server: Server
) -> None:
    one, _ = replicas
    made = [await store(one, sound=b"") for _ in range(4)]
    for each in made[:3]:
        server.do("DEL", f"chat:completion:{TENANT}:{each}")

    assert await ids(one, limit=1) == [made[3]]
    assert server.do("ZCARD", f"index:completions:{TENANT}") == 1


@pytest.mark.parametrize(
    "completion_id", ["", "chatcmpl-", "x" * 100_000, "a\x00b", "../messages", "chatcmpl-" + "0" * 33 + "\n", "*", "é"]
)
async def test_a_completion_whose_id_cannot_be_is_unknown(
    replicas: tuple[Platform, Platform], server: Server, completion_id: str
) -> None:
    stored = replicas[0].stored
    for asked in (
        stored.get(completion_id, tenant=TENANT),
        stored.messages(completion_id, tenant=TENANT),
        stored.update(completion_id, {}, tenant=TENANT),
        stored.delete(completion_id, tenant=TENANT),
    ):
        with pytest.raises(CompletionNotFound) as unknown:
            await asked
        assert (unknown.value.info().http_status, len(unknown.value.message) < 200) == (404, True)
    with pytest.raises(InvalidValue) as refused:
        await page(replicas[0], after=completion_id)
    assert refused.value.param == "after"
    assert keys(server) == []


async def test_a_conversation_that_is_too_long_is_refused_before_the_work(server: Server) -> None:
    async with open_replica(server, chat_stored_bytes=1000) as one:
        one.stored.check(BODY)
        for long in (
            {"messages": [{"role": "user", "content": "x" * 1000}]},
            {"messages": [], "tools": [{"type": "function", "function": {"description": "x" * 1000}}]},
        ):
            with pytest.raises(InvalidValue) as refused:
                one.stored.check(long)
            assert refused.value.param == "store"
        with pytest.raises(InvalidValue):
            made = completion(new_completion_id(now_s(one)))
            await one.stored.put(made, tenant=TENANT, body=long, metadata={})
    assert keys(server) == []


class HalfBlobs:
    """Blobs that cannot be written from the second on."""

    def __init__(self, blobs: Blobs) -> None:
        self.blobs = blobs
        self.left = 1

    async def put(self, data: bytes) -> BlobRef:
        if not self.left:
            raise Unavailable("The blob store cannot be written.")
        self.left -= 1
        return await self.blobs.put(data)

    async def delete(self, ref: BlobRef) -> None:
        await self.blobs.delete(ref)


async def test_what_cannot_be_stored_whole_is_not_stored(server: Server) -> None:
    async with open_replica(server) as one:
        made = completion(new_completion_id(now_s(one)))
        made["choices"] *= 2
        half: Any = HalfBlobs(one.blobs)
        index = one.bus.index("completions", timedelta(hours=1), 10)
        stored = StoredCompletions(index, one.bus.values, half, ChatSettings(), now_ms=one.bus.now_ms)

        with pytest.raises(Unavailable):
            await stored.put(made, tenant=TENANT, body=BODY, metadata={})

        assert half.left == 0
        assert await ids(one) == []
    assert keys(server) == []


async def test_a_caller_who_gives_up_leaves_all_or_nothing(server: Server) -> None:
    async with open_replica(server) as one:
        for turns in range(12):
            made = completion(new_completion_id(now_s(one)))
            putting = asyncio.create_task(one.stored.put(made, tenant=TENANT, body=BODY, metadata={}))
            for _ in range(turns):
                await asyncio.sleep(0)
            putting.cancel()
            await asyncio.gather(putting, return_exceptions=True)

        listed = await ids(one)
        for each in listed:
            assert (await one.stored.get(each, tenant=TENANT))["choices"][0]["message"]["audio"]["data"]
            await one.stored.delete(each, tenant=TENANT)

        # Audio that was on its way ends with the life span of all blobs.
        await eventually(lambda: not keys(server, "chat:*") and not keys(server, "index:*"), within_s=5)


async def test_a_server_that_is_away_is_told_of(own_server: Server) -> None:
    own_server.do("CONFIG", "SET", "appendfsync", "always")
    async with open_replica(own_server) as one:
        kept = await store(one)
        own_server.kill()
        for asked in (
            one.stored.get(kept, tenant=TENANT),
            one.stored.delete(kept, tenant=TENANT),
            one.stored.put(completion(new_completion_id(now_s(one))), tenant=TENANT, body=BODY, metadata={}),
            one.remembered.recall(one.remembered.new_id(now_s(one)).id, tenant=TENANT, param="p"),
            one.heard.get("f", tenant=TENANT, model="m"),
        ):
            with pytest.raises(Unavailable):
                await asked
        own_server.start()
        await eventually(partial(answers, one), within_s=10)

        assert await ids(one) == [kept]


def test_unknown_things_are_not_found() -> None:
    assert issubclass(AudioNotFound, NotFound)
    assert issubclass(AudioExpired, NotFound)
    assert issubclass(CompletionNotFound, NotFound)
