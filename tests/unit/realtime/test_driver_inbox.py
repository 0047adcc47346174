"""Where everything that happens to a session meets."""

from __future__ import annotations

import asyncio

import pytest

from antiphon.bus import SessionInput
from services.realtime.driver.drive import grouped
from services.realtime.driver.inbox import Inbox
from services.realtime.session.happenings import Ticked

pytestmark = pytest.mark.unit


async def test_all_that_has_piled_up_is_taken_at_once() -> None:
    inbox: Inbox[int] = Inbox()
    for number in range(5):
        inbox.put_now(number)
    assert await inbox.take() == [0, 1, 2, 3, 4]


async def test_who_brings_too_much_waits_and_keeps_its_turn() -> None:
    inbox: Inbox[int] = Inbox(limit=2)

    async def bring() -> None:
        for number in range(50):
            await inbox.put(number)

    taken: list[int] = []
    async with asyncio.timeout(5), asyncio.TaskGroup() as group:
        group.create_task(bring())
        while len(taken) < 50:
            batch = await inbox.take()
            assert len(batch) <= 2
            taken += batch
    assert taken == list(range(50))


def test_audio_in_one_piece_is_heard_together_and_never_past_an_event() -> None:
    def entry(number: int, kind: str) -> SessionInput:
        return SessionInput(b"%d-0" % number, kind, b"")  # type: ignore[arg-type]

    first = [entry(1, "audio"), entry(2, "audio")]
    second = [entry(3, "audio"), entry(4, "event"), entry(5, "event"), entry(6, "audio")]
    third = [entry(7, "audio")]
    found = list(grouped([first, second, Ticked(), third]))
    assert [
        [one.entry.decode() for one in thing] if isinstance(thing, list) else type(thing).__name__ for thing in found
    ] == [["1-0", "2-0", "3-0"], ["4-0"], ["5-0"], ["6-0"], "Ticked", ["7-0"]]
