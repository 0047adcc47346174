"""Put the synthesizer together: the models of the catalogue, each engine once, each in a booth."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

from antiphon.blobs import Blobs
from antiphon.bus import Handler
from antiphon.errors import InvalidValue, WeightsMissing
from antiphon.memory import return_large_blocks, share_arena
from antiphon.models import Catalogue, Model, WeightStore
from antiphon.runtime import Worker
from antiphon.settings import WorkerSettings
from services.synthesizer.booth import Booth
from services.synthesizer.engines import Synthesizer
from services.synthesizer.engines.hibari import Hibari
from services.synthesizer.engines.kokoro import Kokoro
from services.synthesizer.engines.pronunciation import Pronunciation
from services.synthesizer.handlers import Synthesize


def build(settings: WorkerSettings) -> Worker:
    """Return the process of a synthesizer."""

    @asynccontextmanager
    async def open_handler(blobs: Blobs) -> AsyncIterator[Handler[Any]]:
        async with open_synthesize(settings, blobs) as handler:
            yield handler

    return Worker(
        name="synthesizer",
        lane="synthesize",
        settings=settings,
        concurrency=settings.concurrency,
        open=open_handler,
    )


@asynccontextmanager
async def open_synthesize(settings: WorkerSettings, blobs: Blobs) -> AsyncIterator[Synthesize]:
    """Load every engine, make it speak once, and free them at the end.

    Raises `WeightsMissing` if weights are not on this machine, `InvalidValue` if the catalogue asks for what
    no engine has.
    """
    share_arena(2)
    return_large_blocks()
    catalogue = Catalogue.load(settings.models_file)
    store = WeightStore(settings.cache_dir)
    pronunciation = await asyncio.to_thread(Pronunciation)
    booths: dict[str, Booth] = {}
    async with AsyncExitStack() as stack:
        for model in _models(catalogue):
            engine = await asyncio.to_thread(_load, model, store, pronunciation, settings.threads)
            booth = Booth(engine, model=model.name, voices=model.options.get("voices", {}))
            booths[model.name] = await stack.enter_async_context(booth)
        yield Synthesize(catalogue=catalogue, booths=booths, blobs=blobs)


def _models(catalogue: Catalogue) -> Iterable[Model]:
    """Return the models that any public name for speech leads to, each once."""
    names = [public.id for public in catalogue.public() if "synthesize" in public.kinds]
    models = (catalogue.resolve(name, "synthesize") for name in names)
    return {model.name: model for model in models}.values()


def _load(model: Model, store: WeightStore, pronunciation: Pronunciation, threads: int) -> Synthesizer:
    folder = model.folder or (store.folder(model.weights) if model.weights else None)
    if model.engine == "hibari":
        return Hibari(folder, pronunciation=pronunciation)
    if model.engine == "kokoro":
        if folder is None:
            raise WeightsMissing(f"model {model.name}: it names neither weights nor a folder")
        return Kokoro(folder, threads=threads, pronunciation=pronunciation)
    raise InvalidValue(f"model {model.name}: there is no engine {model.engine!r} for speech; there are hibari, kokoro")
