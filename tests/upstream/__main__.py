"""Run the server: `python -m tests.upstream --port 8123`. See the package for what it does."""

from __future__ import annotations

import argparse
import asyncio
import signal

from tests.upstream.server import serving


async def main() -> None:
    """Serve until SIGTERM or SIGINT."""
    parser = argparse.ArgumentParser(prog="tests.upstream")
    parser.add_argument("--port", type=int, default=0, help="0 for a free one")
    options = parser.parse_args()
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    async with serving(options.port) as upstream:
        print(f"serving at {upstream.base_url}", flush=True)
        await stop.wait()


asyncio.run(main())
