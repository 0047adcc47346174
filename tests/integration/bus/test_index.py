"""What an index promises to who lists things by it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta

import pytest
import pytest_asyncio

from antiphon.bus import Bus
from antiphon.errors import Unavailable
from tests.eventually import eventually
from tests.integration.bus.conftest import make_settings
from tests.servers import Server

pytestmark = pytest.mark.integration

HOUR = timedelta(hours=1)


@pytest_asyncio.fixture
async def another_bus(server: Server) -> AsyncIterator[Bus]:
    async with Bus.open(make_settings(server)) as opened:
        yield opened


async def test_ids_come_in_their_own_order_whenever_they_were_added(bus: Bus) -> None:
    index = bus.index("things", HOUR, 100)
    for entry_id in ("b", "d", "a", "c", "b"):
        assert await index.add("me", entry_id) == []

    assert await index.page("me", limit=10) == ["a", "b", "c", "d"]
    assert await index.page("me", descending=True, limit=10) == ["d", "c", "b", "a"]
    assert await index.page("me", limit=2) == ["a", "b"]
    assert await index.page("me", after="b", limit=10) == ["c", "d"]
    assert await index.page("me", after="c", descending=True, limit=1) == ["b"]


async def test_a_page_goes_on_behind_an_id_that_was_dropped(bus: Bus) -> None:
    index = bus.index("things", HOUR, 100)
    for entry_id in ("a", "b", "c", "d"):
        await index.add("me", entry_id)

    assert await index.drop("me", "b", "c", "never") == 2
    assert await index.drop("me") == 0

    assert await index.page("me", after="b", limit=10) == ["d"]
    assert await index.page("me", after="c", descending=True, limit=10) == ["a"]
    assert not await index.has("me", "b")
    assert await index.has("me", "d")


async def test_owners_and_names_are_apart(bus: Bus) -> None:
    index = bus.index("things", HOUR, 100)
    await index.add("me", "a")

    assert await index.page("you", limit=10) == []
    assert not await index.has("you", "a")
    assert await bus.index("others", HOUR, 100).page("me", limit=10) == []


async def test_the_first_ids_make_room_and_their_owner_is_told(bus: Bus) -> None:
    index = bus.index("things", HOUR, 3)
    told = [await index.add("me", entry_id) for entry_id in ("a", "b", "c", "d", "e")]

    assert told == [[], [], [], ["a"], ["b"]]
    assert await index.page("me", limit=10) == ["c", "d", "e"]


async def test_a_full_index_takes_nothing_older_than_all_it_has(bus: Bus) -> None:
    index = bus.index("things", HOUR, 2)
    for entry_id in ("b", "c"):
        await index.add("me", entry_id)

    assert await index.add("me", "a") == ["a"]
    assert await index.page("me", limit=10) == ["b", "c"]


async def test_of_many_additions_at_once_by_several_processes_the_last_ids_stay_and_the_others_are_told(
    bus: Bus, another_bus: Bus
) -> None:
    indexes = [each.index("things", HOUR, 10) for each in (bus, another_bus)]
    ids = [f"{number:03d}" for number in range(60)]

    told = await asyncio.gather(*(indexes[i % 2].add("me", entry_id) for i, entry_id in enumerate(ids)))

    assert await indexes[0].page("me", limit=100) == ids[-10:]
    assert {entry_id for some in told for entry_id in some} == set(ids[:-10])


async def test_an_index_is_gone_a_while_after_the_last_addition(bus: Bus, server: Server) -> None:
    index = bus.index("things", timedelta(seconds=60), 10)
    await index.add("me", "a")
    assert 0 < server.do("PTTL", "index:things:me") <= 60_000
    # As if most of it had passed.
    server.do("PEXPIRE", "index:things:me", 20_000)
    await index.add("me", "b")
    assert server.do("PTTL", "index:things:me") > 20_000
    server.do("PEXPIRE", "index:things:me", 10)

    await eventually(lambda: not server.do("EXISTS", "index:things:me"), within_s=5)

    assert await index.page("me", limit=10) == []


async def test_a_server_that_is_away_is_unavailable(own_server: Server) -> None:
    async with Bus.open(make_settings(own_server)) as bus:
        index = bus.index("things", HOUR, 10)
        await index.add("me", "a")
        own_server.kill()
        for asked in (index.add("me", "b"), index.has("me", "a"), index.drop("me", "a"), index.page("me", limit=1)):
            with pytest.raises(Unavailable):
                await asked


async def test_a_full_server_is_unavailable_and_takes_nothing(own_server: Server) -> None:
    async with Bus.open(make_settings(own_server)) as bus:
        index = bus.index("things", HOUR, 10)
        own_server.limit_memory(1)
        with pytest.raises(Unavailable, match="full"):
            await index.add("me", "a")
        own_server.limit_memory(0)

        assert await index.page("me", limit=1) == []
