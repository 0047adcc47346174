"""`antiphon up`: serve until told to stop."""

from __future__ import annotations

import asyncio
import os
import sys
import time

from pydantic import ValidationError

from antiphon.cli.failure import fail
from antiphon.cli.weights import require_default_weights
from antiphon.errors import AntiphonError
from antiphon.stopping import StopRequest
from antiphon.supervisor.plan import lanes_of, metrics_ports
from antiphon.supervisor.platform import Platform
from antiphon.supervisor.settings import PlatformSettings
from antiphon.supervisor.state import StateFolder


def serve(*, workers: dict[str, int], show_logs: bool) -> None:
    """Run the platform until SIGTERM or Ctrl-C. Leaves with exit code 1 and one line when it cannot start."""
    try:
        settings = PlatformSettings.from_environment(workers=workers)
        require_default_weights(os.environ, kinds=lanes_of(settings))
        platform = Platform(
            settings=settings,
            state=StateFolder.from_environment(os.environ),
            environ=os.environ,
            say=say,
            on_line=_echo if show_logs else None,
        )
        asyncio.run(_run(platform))
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        fail(f"ANTIPHON_{'_'.join(map(str, first['loc'])).upper()}: {first['msg']}")
    except AntiphonError as error:
        fail(error.message)


async def _run(platform: Platform) -> None:
    started = time.monotonic()
    stop = StopRequest()

    def announce() -> None:
        say(f"ready in {time.monotonic() - started:.1f} s")
        say(f"base URL  {platform.root_url}/v1")
        given = len(platform.settings.keys())
        say(f"API key   {f'one of the {given} in ANTIPHON_API_KEYS' if given else platform.api_keys()[0]}")
        if ports := metrics_ports(platform.settings):
            say(f"metrics   http://127.0.0.1:{ports[0]}/metrics, ports {ports[0]} to {ports[-1]}")
        say("Ctrl-C stops it")

    async def farewell() -> None:
        await stop.wait()
        say("stopping: the door first, then the workers, then the server (Ctrl-C again to hurry)")

    with stop.on_signals():
        goodbye = asyncio.create_task(farewell())
        try:
            await platform.run(stop=stop, on_ready=announce)
        finally:
            goodbye.cancel()
    say("stopped")


def say(line: str) -> None:
    """Print a line for the user now, whatever stdout is."""
    print(line, flush=True)


def _echo(name: str, line: str) -> None:
    print(f"{name} | {line}", file=sys.stderr, flush=True)
