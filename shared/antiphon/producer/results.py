"""A stream of outcomes as an iterator, shared by the consumers of a group."""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pydantic import ValidationError

from antiphon.errors import Unavailable
from antiphon.schemas import Outcome

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from antiphon.bus.results import ResultEntry, ResultsReader
    from antiphon.producer.patience import Patience

logger = logging.getLogger(__name__)

_PAUSE_S = 0.5


@dataclass(frozen=True, slots=True)
class Result:
    """An outcome that this consumer holds until it is done with it."""

    outcome: Outcome
    entry: str
    """Where it stands in the stream: the same however often it is given."""
    _results: Results
    _taken: ResultEntry

    @property
    def job_id(self) -> str:
        """Id of the job that ended."""
        return self._taken.job_id

    async def done(self) -> None:
        """Acknowledge it: nobody of the group is given it again. Raises `Unavailable`."""
        await self._results.acknowledge(self._taken)


class Results:
    """Iterate over it inside `async with`, and say `await result.done()` for each.

    What is not done when the block ends, or when this process dies, is given to another consumer, or to this one when
    it comes back: at least once each. A result may be handed to another task and be done later; up to `limit` are held
    at a time, then the iteration waits.
    """

    def __init__(self, reader: ResultsReader, patience: Callable[[], Patience], *, limit: int) -> None:
        self._reader = reader
        self._patience = patience
        self._limit = limit
        self._entered = False
        self._reading = asyncio.Lock()
        self._waiting: deque[ResultEntry] = deque()
        self._room = asyncio.Event()

    async def __aenter__(self) -> Results:
        await self._reader.__aenter__()
        self._entered = True
        return self

    async def __aexit__(self, *_: object) -> None:
        self._entered = False
        await self._reader.__aexit__()

    def __aiter__(self) -> AsyncIterator[Result]:
        return self

    async def __anext__(self) -> Result:
        """Wait for the next outcome, also while the server is away."""
        if not self._entered:
            raise RuntimeError("results are iterated over inside `async with`, which gives back what is not done")
        while True:
            async with self._reading:
                while not self._waiting:
                    await self._read()
                taken = self._waiting.popleft()
            try:
                outcome = Outcome.model_validate_json(taken.data)
            except ValidationError:
                logger.warning("a result cannot be read", extra={"entry": taken.entry.decode()})
                await self.acknowledge(taken)
                continue
            return Result(outcome, taken.entry.decode(), self, taken)

    async def acknowledge(self, taken: ResultEntry) -> None:
        """Give up what was taken, for good. Raises `Unavailable`."""
        await self._patience().insist(lambda: self._reader.done([taken]))
        self._room.set()

    async def _read(self) -> None:
        self._room.clear()
        if self._reader.held >= self._limit:
            await self._room.wait()
            return
        try:
            self._waiting.extend(await self._reader.read())
        except Unavailable as error:
            logger.warning("results cannot be read", extra={"cause": error.message})
            await asyncio.sleep(_PAUSE_S)
