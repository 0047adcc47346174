"""Looks at a platform while it works: the processors that each process uses, and what waits on each lane."""

from __future__ import annotations

import asyncio
import os
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import psutil

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from tests.bench.platform import Door
    from tests.load.scrape import Scraper

_EVERY_S = 1.0
_SERVERS = ("redis-server", "valkey-server")
_MIB = 2**20
CLIENT = "load harness"


class Clock:
    """Adds up the processor time of each process of a platform, with the processes that are its own."""

    def __init__(self, door: Door | None) -> None:
        """Without a platform of ours, only the harness itself is looked at."""
        self._own = psutil.Process()
        self._mains: dict[str, psutil.Process] = {}
        if door is not None and door.pid is not None:
            # The children of a service count with it.
            self._mains = {name: process for name, process in door.services().items() if "." not in name}
            for child in psutil.Process(door.pid).children(recursive=True):
                if child.name().startswith(_SERVERS):
                    self._mains["server"] = child
        # What a process used that has ended since is not forgotten.
        self._seen: dict[str, dict[int, float]] = {name: {} for name in self._mains}

    def read(self) -> dict[str, float]:
        """Return seconds of processor time so far, by the name of the service; replicas are added up."""
        used: dict[str, float] = {CLIENT: sum(self._own.cpu_times()[:2])}
        for name, main in self._mains.items():
            for process in _family(main):
                try:
                    self._seen[name][process.pid] = sum(process.cpu_times()[:2])
                except psutil.Error:
                    continue
            service = service_of(name)
            used[service] = used.get(service, 0.0) + sum(self._seen[name].values())
        return used

    def memory_mib(self) -> dict[str, float]:
        """Return the memory of one process of each service, with the processes that are its own."""
        held: dict[str, float] = {}
        for name, main in self._mains.items():
            total = 0
            for process in _family(main):
                try:
                    total += process.memory_full_info().pss
                except psutil.Error:
                    continue
            held[service_of(name)] = max(held.get(service_of(name), 0.0), total / _MIB)
        return held


def service_of(name: str) -> str:
    """Return the service that a process is a replica of."""
    return name.rpartition("-")[0] or name


def _family(main: psutil.Process) -> list[psutil.Process]:
    try:
        return [main, *main.children(recursive=True)]
    except psutil.Error:
        return []


@dataclass
class Moment:
    """What was seen at a moment of the run, and the processors used since the moment before."""

    at_s: float
    processors: Mapping[str, float]
    waiting: Mapping[str, float]
    """Jobs on each lane that nobody has taken."""
    held: Mapping[str, float]
    """Jobs in the hands of workers."""


@dataclass
class Watch:
    """Looks every second, until it is cancelled."""

    clock: Clock
    scraper: Scraper
    now: Callable[[], float]
    moments: list[Moment] = field(default_factory=list)

    async def run(self) -> None:
        """Look again and again."""
        last_s, last = self.now(), self.clock.read()
        while True:
            await asyncio.sleep(_EVERY_S)
            # Looking into the process table takes milliseconds in which no caller may be late.
            used = await asyncio.to_thread(self.clock.read)
            at_s = self.now()
            lanes = await self.scraper.read(first_only=True)
            waiting = {lane: count for (lane,), count in lanes.by("antiphon_lane_waiting", "lane").items()}
            held = {lane: count for (lane,), count in lanes.by("antiphon_lane_pending", "lane").items()}
            passed_s = at_s - last_s
            processors = {name: (seconds - last.get(name, 0.0)) / passed_s for name, seconds in used.items()}
            self.moments.append(Moment(at_s, processors, waiting, held))
            last_s, last = at_s, used


def machine() -> str:
    """Describe this machine in a line."""
    model = ""
    try:
        with open("/proc/cpuinfo", encoding="utf-8") as lines:  # noqa: PTH123
            model = next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), "")
    except OSError:
        pass
    load = ", ".join(f"{value:.1f}" for value in os.getloadavg())
    return f"{os.cpu_count()} processors{f' ({model})' if model else ''}, load {load} at the beginning"
