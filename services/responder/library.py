"""The engines of the catalogue's models: those that are needed are loaded at the start, others when first asked for."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager

from antiphon.errors import InvalidValue, WeightsMissing
from antiphon.models import Catalogue, Model, WeightStore
from services.responder.engines import LanguageModel
from services.responder.engines.llama import Llama
from services.responder.engines.upstream import Upstream
from services.responder.settings import Settings


class Library:
    """Loads each engine once. `open_library` makes one."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._store = WeightStore(settings.cache_dir)
        self._engines: dict[str, LanguageModel] = {}
        self._loading = asyncio.Lock()

    async def engine(self, model: Model) -> LanguageModel:
        """Return the engine of a model, loaded by now.

        Raises `WeightsMissing` if its weights are not on this machine, `InvalidValue` for options it cannot have.
        """
        if (found := self._engines.get(model.name)) is not None:
            return found
        async with self._loading:
            if model.name not in self._engines:
                self._engines[model.name] = await self._load(model)
            return self._engines[model.name]

    async def aclose(self) -> None:
        """Free all engines."""
        for engine in self._engines.values():
            await engine.aclose()

    async def _load(self, model: Model) -> LanguageModel:
        settings = self._settings
        if model.engine == "upstream":
            # Certificates take a tenth of a second to read.
            return await asyncio.to_thread(
                Upstream.open,
                model.name,
                model.options,
                environ=os.environ,
                first_token_s=settings.first_token.total_seconds(),
                next_token_s=settings.next_token.total_seconds(),
            )
        if model.engine != "llama":
            raise InvalidValue(
                f"model {model.name}: there is no engine {model.engine!r} for answers; there are llama, upstream"
            )
        folder = model.folder or (self._store.folder(model.weights) if model.weights else None)
        if folder is None:
            raise WeightsMissing(f"model {model.name}: it names neither weights nor a folder")
        return await asyncio.to_thread(
            Llama.load,
            folder,
            name=model.name,
            threads=settings.threads,
            context_tokens=settings.context_tokens,
            parallel=settings.parallel,
            prompt_cache_mib=settings.prompt_cache_mib,
            options=model.options,
        )


@asynccontextmanager
async def open_library(catalogue: Catalogue, settings: Settings) -> AsyncIterator[Library]:
    """Load every model that is not optional, and free all at the end. Raises as `Library.engine` does."""
    library = Library(settings)
    try:
        for model in _needed(catalogue):
            await library.engine(model)
        yield library
    finally:
        await library.aclose()


def _needed(catalogue: Catalogue) -> Iterable[Model]:
    names = [public.id for public in catalogue.public() if "respond" in public.kinds]
    models = {model.name: model for model in (catalogue.resolve(name, "respond") for name in names)}
    return [model for model in models.values() if not model.optional]
