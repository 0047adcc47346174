"""Generated sessions: whatever clients, models and time do, what a session tells keeps to its rules.

`ANTIPHON_SEQUENCES=100000` runs so many of them, shared by the processors.
"""

from __future__ import annotations

import multiprocessing
import os
from concurrent.futures import ProcessPoolExecutor
from random import Random

import orjson
import pytest

from tests.unit.realtime.session_world import World, run_many, run_sequence

pytestmark = pytest.mark.unit

QUICK = 1_500
BATCH = 250


@pytest.mark.timeout(6 * 3600)
def test_no_sequence_of_events_breaks_a_rule() -> None:
    wanted = int(os.environ.get("ANTIPHON_SEQUENCES", QUICK))
    if wanted <= QUICK:
        run_many(0, wanted)
        return
    starts = range(0, wanted, BATCH)
    with ProcessPoolExecutor(mp_context=multiprocessing.get_context("spawn")) as pool:
        done = list(pool.map(run_many, starts, [min(BATCH, wanted - start) for start in starts]))
    sequences, steps, events = (sum(each[part] for each in done) for part in range(3))
    print(f"{sequences:,} sequences, {steps:,} steps, {events:,} events")
    assert sequences == wanted


def test_a_long_session_does_not_grow() -> None:
    world = World(4, kind="realtime", sampled=0.001)
    sizes = []
    for _ in range(4):
        for _ in range(2_000):
            world.happen()
        sizes.append(len(orjson.dumps(world.machine.core)) - 40 * len(world.machine.core.order))
    assert not world.ended
    assert max(sizes[1:]) < 3 * max(sizes[0], 20_000)


def test_the_same_seed_is_the_same_session() -> None:
    first, second = (run_sequence(seed) for seed in (7, 7))
    assert orjson.dumps(first.machine.core) == orjson.dumps(second.machine.core)
    assert (first.steps, first.ledger.count) == (second.steps, second.ledger.count)


def test_sequences_reach_what_sessions_do() -> None:
    """A generator that never gets anywhere would prove nothing."""
    seen: set[str] = set()
    for seed in Random(1).sample(range(10**6), 250):
        seen |= run_sequence(seed).ledger.seen
    assert seen >= {
        "session.updated",
        "input_audio_buffer.speech_started",
        "input_audio_buffer.speech_stopped",
        "input_audio_buffer.timeout_triggered",
        "conversation.item.retrieved",
        "conversation.item.truncated",
        "conversation.item.deleted",
        "conversation.item.input_audio_transcription.delta",
        "conversation.item.input_audio_transcription.completed",
        "conversation.item.input_audio_transcription.failed",
        "response.output_text.done",
        "response.output_audio.done",
        "response.function_call_arguments.done",
        "response.mcp_call.completed",
        "mcp_list_tools.completed",
        "mcp_list_tools.failed",
        "response.done",
        "error",
    }
