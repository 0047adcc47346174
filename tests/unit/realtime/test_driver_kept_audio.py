"""The audio of items: bounded, cut where a listener cut in, true in its times after a crash."""

from __future__ import annotations

from datetime import timedelta

import pytest

from services.realtime.driver.kept_audio import FIELD, FOUND_BYTES, KeptAudio
from tests.values import Values

pytestmark = pytest.mark.unit


def new_kept(store: Values, *, limit_bytes: int = 100_000) -> KeptAudio:
    return KeptAudio(store, "sess_1", limit_bytes=limit_bytes, ttl=timedelta(hours=1))


async def add(kept: KeptAudio, item_id: str, data: bytes, *, index: int = 0) -> None:
    start = kept.note(item_id, index, len(data), format="audio/pcm")
    await kept.add(item_id, index, start, data)


async def test_parts_are_found_by_their_index() -> None:
    store = Values()
    kept = new_kept(store)
    await kept.keep("a", 0, b"12", format="audio/pcm")
    await add(kept, "a", b"34", index=1)
    await add(kept, "a", b"56", index=1)
    await add(kept, "b", b"78")
    assert await kept.find("a") == {0: b"12", 1: b"3456"}
    kept.forget("a")
    await kept.sweep()
    assert await kept.find("a") == {}
    assert len(store.values) == 1


async def test_the_oldest_goes_first_and_what_goes_on_after_that_is_not_kept() -> None:
    store = Values()
    kept = new_kept(store, limit_bytes=100)
    await add(kept, "a", bytes(60))
    await add(kept, "b", bytes(60))
    await kept.sweep()
    await add(kept, "a", bytes(10))
    assert await kept.find("a") == {}
    assert await kept.find("b") == {0: bytes(60)}
    assert len(store.values) == 1


async def test_a_cut_holds_although_sound_was_on_its_way() -> None:
    store = Values()
    kept = new_kept(store)
    await add(kept, "a", b"x" * 480)
    start = kept.note("a", 0, 480, format="audio/pcm")
    kept.cut("a", 0, 15)
    await kept.add("a", 0, start, b"y" * 480)
    assert await kept.find("a") == {0: b"x" * 480 + b"y" * 240}


async def test_a_successor_fills_up_what_its_predecessor_could_not_write() -> None:
    store = Values()
    first = new_kept(store)
    await add(first, "a", b"x" * 480)
    first.note("a", 0, 480, format="audio/pcm")
    second = new_kept(store).read({FIELD: first.write_down()})
    assert await second.find("a") == {0: b"x" * 480 + bytes(480)}
    await add(second, "a", b"z" * 480)
    await add(second, "a", b"z" * 480)
    assert await second.find("a") == {0: b"x" * 480 + bytes(480) + b"z" * 960}


async def test_what_is_found_fits_into_one_event() -> None:
    kept = new_kept(Values(), limit_bytes=100_000_000)
    await kept.keep("a", 0, bytes(FOUND_BYTES - 100), format="audio/pcm")
    await kept.keep("a", 1, bytes(1_000), format="audio/pcm")
    await kept.keep("a", 2, bytes(1_000), format="audio/pcm")
    found = await kept.find("a")
    assert {index: len(data) for index, data in found.items()} == {0: FOUND_BYTES - 100, 1: 100}


async def test_what_is_gone_is_not_found() -> None:
    store = Values()
    kept = new_kept(store)
    await add(kept, "a", b"12")
    store.values.clear()
    assert await kept.find("a") == {}
    assert await kept.whole("a") is None
