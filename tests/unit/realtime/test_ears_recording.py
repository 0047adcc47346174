"""What is kept of the input of a session."""

from __future__ import annotations

import random
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise

import pytest

from services.realtime.ears.formats import FORMATS
from services.realtime.ears.recording import Recording

pytestmark = pytest.mark.unit

PCM, MULAW = FORMATS["audio/pcm"], FORMATS["audio/pcmu"]


def noise(samples: int, width: int = 2) -> bytes:
    return random.Random(samples).randbytes(samples * width)


def test_a_range_is_given_back_as_it_came() -> None:
    recording, sound = Recording(PCM, 0), noise(24_000)
    for at in range(0, len(sound), 1_920):
        recording.append(sound[at : at + 1_920])
    assert recording.position == 16_000
    assert recording.read(0, 16_000) == sound
    assert recording.read(1_600, 3_200) == sound[4_800:9_600]


def test_ranges_that_meet_give_every_sample_once() -> None:
    recording, sound = Recording(PCM, 0), noise(24_001)
    recording.append(sound)
    cuts = [0, 1, 2, 3, 511, 5_000, 5_001, recording.position]
    parts = [recording.read(start, stop) for start, stop in pairwise(cuts)]
    assert b"".join(parts) == sound[:-2]


def test_positions_go_on_where_they_began() -> None:
    recording = Recording(MULAW, 1_000)
    recording.append(noise(80, 1))
    assert recording.position == 1_160
    assert recording.read(1_020, 1_040) == noise(80, 1)[10:20]
    assert recording.read(0, 1_020) == noise(80, 1)[:10]


def test_what_is_forgotten_is_gone_and_its_memory_with_it() -> None:
    recording = Recording(PCM, 0)
    for _ in range(1_000):
        recording.append(bytes(1_920))
        recording.forget(recording.position - 16_000)
        assert recording.held_bytes <= 48_000 + 2 * 65_536
    stop = recording.position
    assert not recording.has(stop - 16_001)
    assert recording.has(stop - 16_000)
    assert len(recording.read(0, stop)) == 48_000


def test_it_is_read_while_it_grows() -> None:
    recording, sound = Recording(PCM, 0), noise(240_000)
    with ThreadPoolExecutor(1) as pool:
        for at in range(0, len(sound), 960):
            reading = pool.submit(recording.read, 0, recording.position)
            recording.append(sound[at : at + 960])
            assert sound.startswith(reading.result())
    assert recording.read(0, recording.position) == sound
