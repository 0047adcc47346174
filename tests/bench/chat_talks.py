"""Eight conversations of two turns at once, against one, and against the bare engine with eight."""

from __future__ import annotations

import asyncio
import itertools
import time
from functools import partial
from statistics import median
from typing import TYPE_CHECKING

from tests.bench.chat_asking import hold_all
from tests.bench.chat_processor import ProcessorTime
from tests.bench.figures import Aim, Figure
from tests.bench.rounds import Sample, compare, percentile, take_turns

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.bench.chat_asking import Written
    from tests.bench.chat_bare import BareEngine
    from tests.bench.chat_door import ChatDoor

TALKS = 8
TOKENS = 48
_TOPICS = ("the sea", "the stars", "bread", "old bridges", "rain", "horses", "paper", "clocks")
_SECOND = "Please go on, and tell me what happened next in that story."


async def measure(door: ChatDoor, bare: BareEngine, *, model: str, quick: bool) -> list[Figure]:
    """Return the figures."""
    numbers = itertools.count()
    processor = ProcessorTime(door.door)

    async def through_door(talks: int) -> Sample:
        questions = _questions(numbers, talks)
        started_s = time.perf_counter()
        with processor.charged() as bill:
            answers = await asyncio.to_thread(hold_all, door.ask, questions, max_tokens=TOKENS)
            bill.tokens = sum(answer.tokens for talk in answers for answer in talk)
        return _sample(answers, time.perf_counter() - started_s)

    async def to_engine() -> Sample:
        questions = _questions(numbers, TALKS)
        started_s = time.perf_counter()
        return _sample(await bare.hold_all(questions, max_tokens=TOKENS), time.perf_counter() - started_s)

    samples = await take_turns(
        {"door": partial(through_door, TALKS), "one": partial(through_door, 1), "bare": to_engine},
        rounds=1 if quick else 5,
        warm=not quick,
    )
    part = f"chat, {model}: {TALKS} conversations of two turns at once"
    speed, alone = compare(samples["door"], samples["bare"], "speed"), compare(samples["door"], samples["one"], "speed")
    figures = [
        Figure(
            part,
            "all answers, against the bare engine with as many",
            "tokens/s",
            speed.ours,
            speed.baseline,
            "ratio",
            speed.ratio,
            Aim(">=", 0.95),
        ),
        Figure(part, "… against one conversation", "tokens/s", alone.ours, alone.baseline, "ratio", alone.ratio),
    ]
    for turn in ("first", "second"):
        for share in ("p50", "p95"):
            first = compare(samples["door"], samples["bare"], f"{turn} {share}")
            name = f"first token of the {turn} turn, {share}"
            figures.append(Figure(part, name, "ms", first.ours, first.baseline, "difference", first.difference))
    cached = compare(samples["door"], samples["bare"], "cached")
    name = "tokens of the second turn's prompt that were cached"
    figures.append(Figure(part, name, "%", cached.ours, cached.baseline, "difference", cached.difference))
    return [*figures, processor.figure(part, "processor time of ingest and responder for 1,000 tokens")]


def _questions(numbers: Iterator[int], talks: int) -> list[list[str]]:
    """Return what is asked in conversations that nobody has held before."""
    number = next(numbers)
    return [
        [f"Story number {number}, please: a long one about {topic} and a child.", _SECOND] for topic in _TOPICS[:talks]
    ]


def _sample(talks: list[list[Written]], total_s: float) -> Sample:
    sample = {"speed": sum(answer.tokens for talk in talks for answer in talk) / total_s}
    for turn, name in enumerate(("first", "second")):
        firsts_ms = [talk[turn].first_s * 1e3 for talk in talks]
        sample |= {f"{name} p50": median(firsts_ms), f"{name} p95": percentile(firsts_ms, 0.95)}
    return sample | {"cached": median(100 * talk[1].cached_tokens / talk[1].prompt_tokens for talk in talks)}
