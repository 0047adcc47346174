"""What a successor hears again, so that it knows what its predecessor knew."""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor
from typing import cast

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from antiphon.bus import SessionInput
from services.realtime.driver.ear import Ear
from services.realtime.ears.listener import Listener
from services.realtime.ears.voices import Voices
from services.realtime.session.commands import Listen

pytestmark = pytest.mark.unit

PCM = Listen("audio/pcm", detect=False, noise_reduction=None)
SECOND = 16_000
_PATTERN = bytes(range(251)) * 4


def new_ear(desk: ThreadPoolExecutor) -> Ear:
    """Return an ear that hears no voices: nothing of a model is touched."""
    return Ear(Listener(cast("Voices", None), desk))


def audio(number: int, data: bytes) -> SessionInput:
    return SessionInput(b"%d-0" % number, "audio", data)


def sound(start: int, chunk_bytes: int) -> bytes:
    """Return bytes that tell where they stand."""
    return (_PATTERN * (chunk_bytes // len(_PATTERN) + 2))[start % len(_PATTERN) :][:chunk_bytes]


def tune(ear: Ear, how: Listen, entry: str) -> None:
    ear.expect(how, entry=entry)
    ear.tune(how)


async def hear(ear: Ear, entries: list[SessionInput]) -> None:
    for entry in entries:
        await ear.hear([entry])


@settings(max_examples=25)
@given(
    chunk_ms=st.sampled_from([20, 30, 40, 100]),
    before=st.integers(1, 150),
    needed=st.floats(0, 1),
    after=st.integers(0, 20),
)
def test_a_successor_holds_what_may_still_be_asked_for(chunk_ms: int, before: int, needed: float, after: int) -> None:
    size = 48 * chunk_ms
    entries = [audio(number + 1, sound(number * size, size)) for number in range(before + after)]

    async def live() -> None:
        with ThreadPoolExecutor(1) as desk:
            first, second = new_ear(desk), new_ear(desk)
            tune(first, PCM, "0-0")
            await hear(first, entries[:before])
            wanted = int(first.position * needed) // 48 * 48
            first.release(wanted)
            state = orjson.loads(orjson.dumps(first.state()))
            begins = next(at for at, entry in enumerate(entries) if entry.entry.decode() == first.first)
            await second.catch_up(state, entries[begins:before])
            await hear(first, entries[before:])
            await hear(second, entries[before:])
            assert second.position == first.position
            assert await second.raw(wanted, second.position) == await first.raw(wanted, first.position)

    asyncio.run(live())


async def test_silence_that_nobody_needs_is_let_go_of() -> None:
    with ThreadPoolExecutor(1) as desk:
        ear = new_ear(desk)
        tune(ear, PCM, "0-0")
        await hear(ear, [audio(number, bytes(1920)) for number in range(1, 251)])
        ear.release(10 * SECOND)
        assert ear.first is not None
        assert int(ear.first.split("-")[0]) == pytest.approx(250 - 25, abs=13)
        ear.release(10 * SECOND, quiet=True)
        assert ear.first is None
        assert ear.state()["tunings"] == [["0-0", "audio/pcm", False, None]]


async def test_a_successor_hears_each_stretch_in_its_own_format() -> None:
    with ThreadPoolExecutor(1) as desk:
        first, second = new_ear(desk), new_ear(desk)
        tune(first, PCM, "0-0")
        early = [audio(number, bytes(1920)) for number in range(1, 6)]
        late = [audio(number, bytes([number]) * 320) for number in range(7, 20)]
        await hear(first, early)
        tune(first, Listen("audio/pcmu", detect=False, noise_reduction=None), "6-0")
        await hear(first, late)
        await second.catch_up(first.state(), [*early, SessionInput(b"6-0", "event", b"{}"), *late])
        assert second.position == first.position == 5 * 640 + 13 * 640
        assert second.format == "audio/pcmu"
        assert await second.raw(3200, second.position) == b"".join(entry.data for entry in late)


async def test_a_successor_of_a_session_without_audio_hears_as_it_was_told_last() -> None:
    with ThreadPoolExecutor(1) as desk:
        first, second = new_ear(desk), new_ear(desk)
        tune(first, PCM, "0-0")
        tune(first, Listen("audio/pcma", detect=False, noise_reduction=None), "3-0")
        await second.catch_up(first.state(), [])
        assert (second.format, second.position, second.first) == ("audio/pcma", 0, None)
