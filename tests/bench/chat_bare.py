"""The bare engine: xllamacpp, configured as the responder does it and called directly, in a process of its own."""

from __future__ import annotations

import asyncio
import functools
import multiprocessing
import os
import tempfile
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self, TypeVar

from services.responder.engines.llama_child import _TUNING, ChildSettings
from services.responder.engines.llama_options import LlamaOptions
from services.responder.settings import Settings
from tests.bench.chat_asking import Stopwatch, Written, completion_body, hold_all

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from tests.bench.chat_asking import Message

ResultT = TypeVar("ResultT")


@dataclass(frozen=True)
class BareEngine:
    """Asks the engine. It is loaded with the first question."""

    _process: ProcessPoolExecutor
    _settings: ChildSettings

    @classmethod
    @contextmanager
    def start(cls, folder: Path) -> Iterator[Self]:
        """Give the engine of the weights in `folder`; its process ends with the block."""
        (weights,) = folder.glob("*.gguf")
        settings, own = Settings.from_environment(), LlamaOptions()
        told = ChildSettings(
            weights=str(weights),
            threads=settings.threads,
            parallel=settings.parallel,
            context_tokens=settings.context_tokens,
            prompt_cache_mib=settings.prompt_cache_mib,
            kv_type=own.kv_type,
            batch_tokens=own.batch_tokens,
            repack=own.repack,
            thinks=own.thinks,
        )
        context = multiprocessing.get_context("spawn")
        # What tunes its threads is read from the environment when the library is loaded.
        with ProcessPoolExecutor(1, mp_context=context, initializer=_tune) as process:
            yield cls(process, told)

    async def ask(self, messages: Sequence[Message], max_tokens: int) -> Written:
        """Return the answer to one question."""
        return await self._call(_ask, list(messages), max_tokens)

    async def hold_all(self, talks: Sequence[Sequence[str]], *, max_tokens: int) -> list[list[Written]]:
        """Hold conversations at the same time."""
        return await self._call(_hold_all, talks, max_tokens)

    async def _call(self, function: Callable[..., ResultT], *arguments: object) -> ResultT:
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._process, function, self._settings, *arguments)


def _tune() -> None:
    os.environ.update(_TUNING)


def _ask(settings: ChildSettings, messages: Sequence[Message], max_tokens: int) -> Written:
    own = LlamaOptions()
    body = completion_body(messages, max_tokens=max_tokens) | {
        "cache_prompt": True,
        "top_p": own.top_p,
        "top_k": own.top_k,
        "min_p": own.min_p,
        "repeat_penalty": own.repeat_penalty,
    }
    server = _server(settings)
    watch = Stopwatch()

    def take(chunk: dict[str, Any]) -> bool:
        watch.take(chunk)
        return False

    server.handle_chat_completions(body, take)
    return watch.stop()


def _hold_all(settings: ChildSettings, talks: Sequence[Sequence[str]], max_tokens: int) -> list[list[Written]]:
    return hold_all(functools.partial(_ask, settings), talks, max_tokens=max_tokens)


@functools.cache
def _server(settings: ChildSettings) -> Any:
    """Return the engine, loaded once in this process, which ends with it."""
    import xllamacpp

    from services.responder.engines.llama_process import _parameters

    # It listens, like that of the responder; nobody connects.
    with tempfile.TemporaryDirectory(prefix="antiphon-bench-") as folder:
        return xllamacpp.Server(_parameters({**asdict(settings), "socket": f"{folder}/engine.sock", "key": "unused"}))
