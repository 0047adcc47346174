"""`python -m tests.bench [NAMES…] [--quick] [--json FILE] [--base-url URL --api-key KEY]`."""

from __future__ import annotations

import argparse
import json
import logging
import os
import platform as machine
import sys
import tempfile
import time
import traceback
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import uvloop

from tests.bench.figures import Figure, draw
from tests.bench.platform import Door, platform

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping

NAMES = (
    "bus",
    "queues",
    "memory",
    "http",
    "throughput",
    "replicas",
    "fairness",
    "oversubscription",
    "resume",
    "chat",
    "realtime",
)
_ALL = {"transcriber": 1, "translator": 1, "synthesizer": 1, "responder": 0}
_TRANSCRIBER = {"transcriber": 1, "translator": 0, "synthesizer": 0, "responder": 0}


def main() -> int:
    """Measure what was asked for, print a table; return 1 when something could not be measured."""
    arguments = _parse()
    logging.basicConfig(level=logging.ERROR)
    figures, failed = uvloop.run(_measure(arguments))
    print(draw(figures))
    print(f"\nRatios and differences are medians over rounds, ours and the baseline by turns. {_machine()}")
    if arguments.json:
        report = {"machine": _machine(), "quick": arguments.quick, "figures": [figure.as_dict() for figure in figures]}
        arguments.json.write_text(json.dumps(report, indent=1, ensure_ascii=False) + "\n")
    for name, error in failed.items():
        print(f"{name} could not be measured: {error}", file=sys.stderr)
    return 1 if failed else 0


async def _measure(arguments: argparse.Namespace) -> tuple[list[Figure], dict[str, str]]:
    figures: list[Figure] = []
    failed: dict[str, str] = {}
    door = Door(arguments.base_url, arguments.api_key) if arguments.base_url else None
    with tempfile.TemporaryDirectory(prefix="antiphon-bench-") as folder:
        for name in NAMES:
            if name not in arguments.names:
                continue
            started = time.monotonic()
            try:
                # Each part by itself, so that one that fails leaves the others their figures.
                figures += await _part(name, Path(folder), door, quick=arguments.quick)
            except Exception as error:
                failed[name] = f"{type(error).__name__}: {_first(error)}"
                traceback.print_exc()
            print(f"{name}: {time.monotonic() - started:.0f} s", file=sys.stderr, flush=True)
    return figures, failed


async def _part(name: str, folder: Path, door: Door | None, *, quick: bool) -> list[Figure]:
    cores = os.cpu_count() or 1
    if name == "bus":
        from tests.bench import bus

        return await bus.measure(folder / name, quick=quick)
    if name == "queues":
        from tests.bench import queues

        return await queues.measure(folder / name, quick=quick)
    if name == "memory":
        from tests.bench import memory

        async with platform(folder / name, workers=_ALL) as fresh:
            return await memory.measure(fresh, folder, quick=quick)
    if name == "http":
        from tests.bench import overhead

        async with _platform_at(door, folder / name, _ALL) as reached:
            return await overhead.measure(reached, folder, quick=quick)
    if name == "chat":
        from tests.bench import chat

        return await chat.measure(folder / name, quick=quick)
    if name == "realtime":
        from tests.bench import realtime

        return await realtime.measure(folder / name, quick=quick)
    if name == "resume":
        from tests.bench import resume

        return await resume.measure(folder / name, quick=quick)
    if name in ("fairness", "oversubscription"):
        return await _load(name, folder / name, quick=quick)

    from tests.bench import throughput

    if name == "throughput":
        async with _platform_at(door, folder / name, _TRANSCRIBER) as reached:
            return await throughput.measure(reached, quick=quick)
    async with (
        platform(folder / "one", workers=_TRANSCRIBER, threads=cores) as one,
        platform(folder / "two", workers={**_TRANSCRIBER, "transcriber": 2}, threads=max(cores // 2, 1)) as two,
    ):
        return await throughput.measure_replicas(one, two, quick=quick)


async def _load(name: str, folder: Path, *, quick: bool) -> list[Figure]:
    """Measure what a platform of ours does under the load of several callers."""
    from tests.bench import fairness, oversubscription

    environment = {"ANTIPHON_MAX_WAIT": f"PT{oversubscription.MAX_WAIT_S}S"} if name == "oversubscription" else {}
    async with platform(folder, workers=_TRANSCRIBER, environment=environment) as fresh:
        if name == "fairness":
            return await fairness.measure(fresh, folder / "clips", quick=quick)
        return await oversubscription.measure(fresh, folder / "clips", quick=quick)


@asynccontextmanager
async def _platform_at(door: Door | None, folder: Path, workers: Mapping[str, int]) -> AsyncIterator[Door]:
    """Yield the platform that is running, or one that is started for this."""
    if door is not None:
        yield door
        return
    async with platform(folder, workers=workers) as fresh:
        yield fresh


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.bench", description="What Antiphon costs.")
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"parts to measure, of: {', '.join(NAMES)} (all)")
    parser.add_argument("--quick", action="store_true", help="fewer and smaller rounds: a glance, not a verdict")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures here too")
    parser.add_argument("--base-url", help="measure http and throughput at a platform that is running")
    parser.add_argument("--api-key", default="", help="its key")
    arguments = parser.parse_args()
    if unknown := [name for name in arguments.names if name not in NAMES]:
        parser.error(f"there is no part {unknown[0]!r}")
    arguments.names = arguments.names or list(NAMES)
    return arguments


def _machine() -> str:
    load = ", ".join(f"{value:.1f}" for value in os.getloadavg())
    system = f"{machine.system()} {machine.machine()}, Python {machine.python_version()}"
    return f"{os.cpu_count()} processors, {system}, load {load}."


def _first(error: BaseException) -> BaseException:
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error


if __name__ == "__main__":
    sys.exit(main())
