"""What processor time an answer costs the processes around the engine."""

from __future__ import annotations

from collections import Counter
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

import psutil

from tests.bench.figures import Figure

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.bench.platform import Door

_BUS = ("redis-server", "valkey-server")
_COUNTED = ("ingest", "responder")


@dataclass
class Bill:
    """How many tokens were written for what is charged."""

    tokens: int = 0


class ProcessorTime:
    """Adds up what the door, the responder's own process without its engine, and the server of the bus use."""

    def __init__(self, door: Door) -> None:
        self._processes = {name: process for name, process in door.services().items() if name in _COUNTED}
        children = psutil.Process(door.pid).children(recursive=True)
        self._processes["server"] = next(child for child in children if child.name().startswith(_BUS))
        self._used_s: Counter[str] = Counter()
        self._tokens = 0

    @contextmanager
    def charged(self) -> Iterator[Bill]:
        """Charge what is used while the block runs."""
        before = self._read()
        bill = Bill()
        yield bill
        self._used_s.update({name: used_s - before[name] for name, used_s in self._read().items()})
        self._tokens += bill.tokens

    def figure(self, part: str, name: str) -> Figure:
        """Return the seconds of the door and the responder for 1,000 tokens."""
        each = {name: used_s / self._tokens * 1000 for name, used_s in self._used_s.items()}
        total = sum(each[name] for name in _COUNTED)
        split = ", ".join(f"{name} {used_s:.2f}" for name, used_s in each.items())
        return Figure(part, name, "s", total, None, "value", total, note=f"({split})")

    def _read(self) -> dict[str, float]:
        used = {}
        for name, process in self._processes.items():
            times = process.cpu_times()
            used[name] = times.user + times.system
        return used
