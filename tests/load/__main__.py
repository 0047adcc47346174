"""`python -m tests.load`: see `docs/load.md`."""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import shlex
import signal
import sys
import tempfile
from contextlib import AsyncExitStack, suppress
from pathlib import Path
from typing import TYPE_CHECKING

import httpx
import uvloop

from antiphon.errors import AntiphonError
from tests.bench.platform import Door, platform
from tests.load.alone import Alone
from tests.load.callers import Callers, Sounds
from tests.load.drive import Driver
from tests.load.options import DEFAULT, Names, Options, parse_load
from tests.load.ports import free_ports
from tests.load.report import Found, Report, report_of, served
from tests.load.scrape import Samples, Scraper
from tests.load.tally import Tally
from tests.load.text import draw
from tests.load.watch import CLIENT, Clock, Watch, machine

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from antiphon.planning import Measured

_CONNECTIONS = 1024
_COUNTED_S = 3.0
"""Within which an answer that was sent is counted."""
SMALL = '[defaults]\nrespond = "qwen2.5-coder-0.5b"\nsynthesize = "hibari"\n'
"""The models that answer soonest where processors are few."""
WORKERS = {"transcriber": 1, "translator": 0, "synthesizer": 1, "responder": 1, "realtime": 1, "webhooks": 0}


def main() -> int:
    """Run, print the report and write it; return 1 when a request went wrong in another way than being refused."""
    arguments = _parse()
    try:
        report = uvloop.run(run(arguments))
    except (AntiphonError, RuntimeError, OSError) as error:
        print(f"load: {error}", file=sys.stderr)
        return 1
    except (KeyboardInterrupt, asyncio.CancelledError):
        return 130
    from tests.load.picture import paint

    options: Options = arguments.options
    options.out.mkdir(parents=True, exist_ok=True)
    (options.out / "report.json").write_text(json.dumps(report, ensure_ascii=False) + "\n", encoding="utf-8")
    said = draw(report)
    (options.out / "report.txt").write_text(said + "\n", encoding="utf-8")
    paint(report, options.out / "report.png")
    print(f"{said}\n\nwritten: {', '.join(str(options.out / f'report.{kind}') for kind in ('txt', 'json', 'png'))}")
    return 1 if any(one["whole_run"]["errors"] for one in report["kinds"].values()) else 0


async def run(arguments: argparse.Namespace) -> Report:
    """Return the report of one run, at the platform that was named or at one of our own."""
    current = asyncio.current_task()
    assert current is not None
    # What was started here is stopped whatever stops us.
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, current.cancel)
    async with AsyncExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="antiphon-load-")))
        sounds = await Sounds.read(folder / "clips")
        if arguments.base_url:
            door = Door(arguments.base_url.rstrip("/"), arguments.api_key)
            return await at(door, arguments.options, sounds, metrics=arguments.metrics, command=arguments.command)
        _say("starting a platform")
        ports = free_ports(1 + sum(arguments.workers.values()))
        environment = {"ANTIPHON_METRICS_PORT": str(ports[0])}
        if arguments.small:
            (folder / "models.toml").write_text(SMALL)
            environment["ANTIPHON_MODELS_FILE"] = str(folder / "models.toml")
        door = await stack.enter_async_context(
            platform(folder / "state", workers=arguments.workers, environment=environment)
        )
        metrics = [f"http://127.0.0.1:{port}/metrics" for port in ports]
        return await at(
            door,
            arguments.options,
            sounds,
            metrics=metrics,
            command=arguments.command,
            workers=arguments.workers,
        )


async def at(
    door: Door,
    options: Options,
    sounds: Sounds,
    *,
    metrics: Sequence[str],
    command: str,
    workers: Mapping[str, int] | None = None,
) -> Report:
    """Return the report of a run at a platform; `workers` are those of one of our own."""
    described, clock = machine(), Clock(door if workers else None)
    async with (
        door.client(connections=_CONNECTIONS) as client,
        httpx.AsyncClient(trust_env=False) as scraping,
    ):
        measured: Measured | None = None
        if workers and options.alone_s:
            _say("measuring each kind of work by itself")
            alone = Alone(door, Callers(client, Tally(), sounds, options.names), options, clock, _say)
            measured = await alone.measure(command, described)
        scraper = Scraper(scraping, metrics)
        before = await scraper.read()
        callers = Callers(client, Tally(), sounds, options.names, come_back=options.come_back)
        watch = Watch(clock, scraper, callers.tally.now)
        client_s = clock.read()[CLIENT]
        _say(f"load for {sum(stage.seconds for stage in options.stages):.0f} s")
        interrupted = await _drive(Driver(door, callers, options), watch)
        ended_s, client_s = callers.tally.now(), clock.read()[CLIENT] - client_s
        added = await _added(scraper, before, callers.tally)
        if scraper.silent:
            _say(f"no metrics from {', '.join(sorted(scraper.silent))}")
        return report_of(
            Found(
                options=options,
                command=command,
                machine=described,
                base_url=door.base_url,
                tally=callers.tally,
                sounds=sounds,
                moments=watch.moments,
                metrics=added,
                ended_s=ended_s,
                interrupted=interrupted,
                client_s=client_s,
                workers=workers,
                memory_mib=clock.memory_mib(),
                measured=measured,
            )
        )


async def _added(scraper: Scraper, before: Samples, tally: Tally) -> Samples:
    """Return what the metrics have added, once they count what has been answered; nothing when some are missing."""
    deadline_s = tally.now() + _COUNTED_S
    while True:
        after = await scraper.read()
        added = after.minus(before)
        counted = served(added)
        busy = sum(
            count for (lane,), count in after.by("antiphon_jobs_in_flight", "lane").items() if lane != "realtime"
        )
        if scraper.silent or tally.now() > deadline_s:
            return Samples() if scraper.silent else added
        if not busy and all(counted.get(name, 0) >= count for name, count in tally.sent.items()):
            return added
        await asyncio.sleep(0.1)


async def _drive(driver: Driver, watch: Watch) -> bool:
    """Run to the end, or until Ctrl-C; tell whether it was that."""
    driving = asyncio.create_task(driver.run())
    watching = asyncio.create_task(watch.run())
    loop = asyncio.get_running_loop()
    loop.add_signal_handler(signal.SIGINT, driving.cancel)
    try:
        await driving
    except asyncio.CancelledError:
        if not driving.cancelled():
            raise
        return True
    finally:
        loop.remove_signal_handler(signal.SIGINT)
        watching.cancel()
        with suppress(asyncio.CancelledError):
            await watching
    return False


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.load", description="Mixed traffic against a platform.")
    parser.add_argument("--load", default=DEFAULT, help=f"requests a minute, sessions held ({DEFAULT})")
    parser.add_argument("--ramp", type=float, default=30.0, metavar="S", help="seconds until all of it comes (30)")
    parser.add_argument("--duration", type=float, default=120.0, metavar="S", help="seconds of the whole load (120)")
    parser.add_argument("--alone", type=float, default=8.0, metavar="S", help="for each measurement alone; 0: none (8)")
    parser.add_argument("--batch", type=int, default=3, metavar="N", help="jobs of one request (3)")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--come-back", action="store_true", help="who is refused comes again when told to")
    parser.add_argument(
        "--out", type=Path, default=Path("out/load"), metavar="FOLDER", help="for the report (out/load)"
    )
    parser.add_argument("--base-url", default="", help="a platform that is running, with /v1")
    parser.add_argument("--api-key", default=os.environ.get("API_KEY", ""), help="its key; else API_KEY")
    parser.add_argument("--metrics", action="append", default=[], metavar="URL", help="its metrics, the door's first")
    parser.add_argument("--small", action="store_true", help="our own platform with the smallest models")
    parser.add_argument("--workers", default="", metavar="NAME=N,...", help="our own platform's workers")
    for kind, name in vars(Names()).items():
        parser.add_argument(f"--{kind}-model", default=name, metavar="NAME", help=f"({name})")
    arguments = parser.parse_args()
    try:
        load = parse_load(arguments.load)
        given = dict(part.split("=") for part in arguments.workers.split(",") if part)
        if unknown := given.keys() - WORKERS.keys():
            raise ValueError(f"there is no worker {min(unknown)!r}")
        arguments.workers = WORKERS | {name: int(count) for name, count in given.items()}
    except ValueError as error:
        parser.error(str(error))
    if min(arguments.ramp, arguments.alone) < 0 or arguments.duration <= 0 or arguments.batch < 1:
        parser.error("times and counts are above 0")
    arguments.command = f"python -m tests.load {shlex.join(_without_key(sys.argv[1:]))}".strip()
    arguments.options = Options(
        load=load,
        ramp_s=arguments.ramp,
        hold_s=arguments.duration,
        alone_s=arguments.alone,
        batch=arguments.batch,
        seed=arguments.seed,
        come_back=arguments.come_back,
        out=arguments.out,
        names=Names(**{kind: getattr(arguments, f"{kind}_model") for kind in vars(Names())}),
    )
    return arguments


def _without_key(given: list[str]) -> list[str]:
    """Return the command line without the secret in it."""
    kept, hide = [], False
    for word in given:
        kept.append("..." if hide else "--api-key=..." if word.startswith("--api-key=") else word)
        hide = word == "--api-key"
    return kept


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
