"""Any number of jobs as lots of a few hundred, so that a million take no more memory than one lot."""

from __future__ import annotations

from collections.abc import AsyncIterable, AsyncIterator, Iterable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from antiphon.schemas import Job, Kind

_COUNT = 256
_BYTES = 1024 * 1024


@dataclass(slots=True)
class Lot:
    """Jobs of one lane with their JSON, in the order in which they came."""

    kind: Kind
    jobs: list[Job] = field(default_factory=list)
    data: list[bytes] = field(default_factory=list)
    size: int = 0

    @property
    def full(self) -> bool:
        """Tell whether it goes out in one step now."""
        return len(self.jobs) >= _COUNT or self.size >= _BYTES

    def add(self, job: Job) -> None:
        """Take one more."""
        data = job.model_dump_json().encode()
        self.jobs.append(job)
        self.data.append(data)
        self.size += len(data)


async def lots_of(jobs: Iterable[Job] | AsyncIterable[Job]) -> AsyncIterator[Lot]:
    """Yield the jobs in lots; what of a lane has not filled one comes at the end."""
    lots: dict[Kind, Lot] = {}
    async for job in _each(jobs):
        lot = lots.setdefault(job.kind, Lot(job.kind))
        lot.add(job)
        if lot.full:
            yield lots.pop(job.kind)
    for lot in lots.values():
        yield lot


async def _each(jobs: Iterable[Job] | AsyncIterable[Job]) -> AsyncIterator[Job]:
    if isinstance(jobs, AsyncIterable):
        async for job in jobs:
            yield job
    else:
        for job in jobs:
            yield job
