"""The scripted server, as a process of its own: what the platform has asked it."""

from __future__ import annotations

import contextlib
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import httpx


@dataclass(frozen=True)
class ScriptedUpstream:
    """A running `tests.upstream`."""

    base_url: str
    client: httpx.Client

    def asked(self, marker: str = "") -> list[dict[str, Any]]:
        """Return the requests that came in and hold `marker` somewhere in their messages."""
        reply = self.client.get("/asked").raise_for_status()
        asked: list[dict[str, Any]] = reply.json()
        return [each for each in asked if marker in str(each["body"].get("messages"))]

    def forget(self) -> None:
        """Forget what came in."""
        self.client.delete("/asked").raise_for_status()

    def await_hung_up(self, marker: str, *, within_s: float) -> float:
        """Wait until the request with `marker` has been left by its client; return how many seconds that took."""
        started = time.monotonic()
        while not any(each["hung_up"] for each in self.asked(marker)):
            assert time.monotonic() < started + within_s, "nobody has hung up"
            time.sleep(0.02)
        return time.monotonic() - started


@contextlib.contextmanager
def scripted() -> Iterator[ScriptedUpstream]:
    """Run the server on a free port."""
    process = subprocess.Popen([sys.executable, "-m", "tests.upstream"], stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        said = process.stdout.readline()
        base_url = said.removeprefix("serving at ").strip()
        assert base_url.startswith("http://127.0.0.1:"), said
        with httpx.Client(base_url=base_url.removesuffix("/v1"), trust_env=False, timeout=10) as client:
            yield ScriptedUpstream(base_url, client)
    finally:
        process.terminate()
        process.wait(10)
