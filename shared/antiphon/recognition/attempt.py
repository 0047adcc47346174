"""One attempt at a job, as far as recognition sees it: the bus's `Work`, or a test's own."""

from __future__ import annotations

from typing import Protocol

from antiphon.schemas import EventKind, Priority


class Attempt(Protocol):
    """What the job is told, asked and given."""

    @property
    def job_id(self) -> str:
        """Whose attempt it is."""
        ...

    @property
    def priority(self) -> Priority:
        """How urgent the job is."""
        ...

    def check(self) -> None:
        """Raise if the work is to stop."""
        ...

    async def emit(self, kind: EventKind, data: bytes) -> None:
        """Append to the job's output. Raises as `check` does."""
        ...

    async def progress(self, done: float, total: float | None) -> None:
        """Tell how far the work is."""
        ...

    async def load_checkpoint(self) -> list[bytes]:
        """Return the steps that earlier attempts have finished, in order."""
        ...

    async def save_checkpoint(self, step: bytes, *, index: int) -> None:
        """Keep step number `index`, from 0, in the place of all from there on. Raises as `check` does."""
        ...
