"""Chat completions: what the platform adds to the language model, alone and under eight conversations, and to speech.

The same questions go through the door, to the responder's engine class in this process, and to the bare engine in one
of its own, by turns: never two of them at a time.
"""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from antiphon.schemas import Message as Said
from antiphon.schemas import ReplyOptions, TextPart
from services.responder.engines import End, Prompt, TextPiece
from services.responder.engines.llama import Llama
from services.responder.settings import Settings
from tests.bench import chat_spoken, chat_talks
from tests.bench.chat_asking import TALK, Stopwatch
from tests.bench.chat_bare import BareEngine
from tests.bench.chat_door import ChatDoor
from tests.bench.chat_processor import ProcessorTime
from tests.bench.clips import weights
from tests.bench.figures import Aim, Figure
from tests.bench.platform import platform
from tests.bench.rounds import compare, take_turns

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
    from pathlib import Path

    from tests.bench.chat_asking import Message, Written
    from tests.bench.rounds import Sample

SMALL, DEFAULT = "qwen2.5-coder-0.5b", "qwen2.5-coder-1.5b"
"""Models of the catalogue, and the names of their weights."""
LONG_TOKENS = 160
SHORT_TOKENS = 4
_WORKERS = {"transcriber": 1, "translator": 0, "synthesizer": 1, "responder": 1, "webhooks": 0}


@dataclass(frozen=True)
class Contenders:
    """The three ways to one model."""

    name: str
    door: ChatDoor
    engine: Llama
    bare: BareEngine


async def measure(folder: Path, *, quick: bool) -> list[Figure]:
    """Return the figures, of the small model alone if `quick`, each on a platform started for it in `folder`."""
    figures = []
    for name in (SMALL,) if quick else (SMALL, DEFAULT):
        async with _contenders(name, folder / name) as contenders:
            figures += await _measure_answers(contenders, quick=quick)
            figures += await chat_talks.measure(contenders.door, contenders.bare, model=name, quick=quick)
            figures += await chat_spoken.measure(
                contenders.door, contenders.bare, folder / name, model=name, quick=quick
            )
    return figures


@asynccontextmanager
async def _contenders(name: str, folder: Path) -> AsyncIterator[Contenders]:
    folder.mkdir(parents=True)
    catalogue = folder / "models.toml"
    catalogue.write_text(f'defaults.respond = "{name}"\n')
    environment = {"ANTIPHON_MODELS_FILE": str(catalogue)}
    with BareEngine.start(weights().folder(name)) as bare:
        async with platform(folder / "state", workers=_WORKERS, environment=environment) as door, _engine(name) as own:
            yield Contenders(name, ChatDoor(door, name), own, bare)


@asynccontextmanager
async def _engine(name: str) -> AsyncIterator[Llama]:
    """Give the engine as a responder loads it."""
    settings = Settings.from_environment()
    engine = await asyncio.to_thread(
        Llama.load,
        weights().folder(name),
        name=name,
        threads=settings.threads,
        context_tokens=settings.context_tokens,
        parallel=settings.parallel,
        prompt_cache_mib=settings.prompt_cache_mib,
        options={},
    )
    try:
        yield engine
    finally:
        await engine.aclose()


async def _measure_answers(contenders: Contenders, *, quick: bool) -> list[Figure]:
    """One answer at a time, to a conversation that the model has read before."""
    ways: dict[str, Callable[[int], Awaitable[Written]]] = {
        "door": lambda tokens: asyncio.to_thread(contenders.door.ask, TALK, tokens),
        "engine": lambda tokens: _ask(contenders.engine, TALK, tokens),
        "bare": lambda tokens: contenders.bare.ask(TALK, tokens),
    }
    processor = ProcessorTime(contenders.door.door)

    async def write(name: str, tokens: int) -> Sample:
        written = await ways[name](tokens)
        if written.tokens < tokens // 2:
            raise RuntimeError(f"{name} wrote {written.tokens} tokens, not {tokens}: {written.text!r}")
        return {"speed": written.speed, "tokens": written.tokens, "ms": written.first_s * 1e3}

    async def write_long(name: str) -> Sample:
        if name != "door":
            return await write(name, LONG_TOKENS)
        with processor.charged() as bill:
            sample = await write(name, LONG_TOKENS)
            bill.tokens = round(sample["tokens"])
            return sample

    short = await take_turns({n: partial(write, n, SHORT_TOKENS) for n in ways}, rounds=11 if quick else 41)
    long = await take_turns({n: partial(write_long, n) for n in ways}, rounds=3 if quick else 9, warm=False)
    part = f"chat, {contenders.name}: one answer, against the bare engine"
    figures = []
    for way, named, aimed in (("door", "", True), ("engine", ", the responder's engine alone", False)):
        speed, first = compare(long[way], long["bare"], "speed"), compare(short[way], short["bare"], "ms")
        figures += [
            Figure(
                part,
                f"answer of {LONG_TOKENS} tokens{named}",
                "tokens/s",
                speed.ours,
                speed.baseline,
                "ratio",
                speed.ratio,
                Aim(">=", 0.95) if aimed else None,
            ),
            Figure(
                part,
                f"first token, prompt read before, p50{named}",
                "ms",
                first.ours,
                first.baseline,
                "difference",
                first.difference,
                Aim("<=", 5.0) if aimed else None,
            ),
        ]
    return [*figures, processor.figure(part, "processor time of ingest and responder for 1,000 tokens")]


async def _ask(engine: Llama, messages: Sequence[Message], max_tokens: int) -> Written:
    """Ask the engine as the responder does."""
    prompt = Prompt(
        messages=tuple(Said(role=line["role"], content=(TextPart(text=line["content"]),)) for line in messages),
        options=ReplyOptions(temperature=0.0, max_tokens=max_tokens),
    )
    watch = Stopwatch()
    async for piece in engine.respond(prompt):
        match piece:
            case TextPiece(text):
                watch.write(text)
            case End(usage=usage):
                watch.take(
                    {
                        "choices": [],
                        "usage": {
                            "prompt_tokens": usage.prompt_tokens,
                            "completion_tokens": usage.completion_tokens,
                            "prompt_tokens_details": {"cached_tokens": usage.cached_tokens},
                        },
                    }
                )
    return watch.stop()
