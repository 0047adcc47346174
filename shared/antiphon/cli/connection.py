"""Where the running platform is, how to talk to it, and what it says when it refuses."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import urlsplit

import httpx

from antiphon.cli.failure import CommandFailed
from antiphon.supervisor.state import StateFolder

LOOPBACK = ("localhost", "127.0.0.1", "::1")
# Reading waits a little longer than the platform lets a request take; the other three say soon that nobody is there.
TIMEOUT = httpx.Timeout(10.0, read=660.0, write=60.0)


@dataclass(frozen=True)
class Connection:
    """The address of a platform and the key that opens it."""

    base_url: str
    api_key: str

    def client(self) -> httpx.AsyncClient:
        """Return a client whose paths are relative to the base URL."""
        return httpx.AsyncClient(
            base_url=self.base_url.rstrip("/") + "/",
            headers={"Authorization": f"Bearer {self.api_key}"},
            timeout=TIMEOUT,
            # A proxy from the environment cannot reach this machine's own loopback.
            trust_env=urlsplit(self.base_url).hostname not in LOOPBACK,
        )


def find_connection(environ: Mapping[str, str]) -> Connection:
    """Return the platform named by the environment, else the one that runs on this machine.

    Raises `CommandFailed` when there is none, or no key for it.
    """
    state = StateFolder.from_environment(environ)
    base_url = environ.get("ANTIPHON_BASE_URL")
    if not base_url:
        address = state.read_address()
        if address is None:
            raise CommandFailed("no platform is running here: start one with `antiphon up`, or set ANTIPHON_BASE_URL")
        base_url = address.base_url
    given = environ.get("ANTIPHON_API_KEY") or environ.get("ANTIPHON_API_KEYS", "").split(",")[0].strip()
    key = given or state.read_api_key()
    if not key:
        raise CommandFailed(f"no key for {base_url}: set ANTIPHON_API_KEY")
    return Connection(base_url=base_url, api_key=key)


def describe_refusal(status: int, body: bytes) -> str:
    """Return what an error response says, in one line."""
    try:
        message = json.loads(body)["error"]["message"]
    except (ValueError, KeyError, TypeError):
        message = body.decode("utf-8", "replace").strip()[:200] or "no reason given"
    return f"{message} (HTTP {status})"


def describe_failure(error: httpx.HTTPError, base_url: str) -> str:
    """Return why no response came, in one line."""
    if isinstance(error, httpx.ConnectError | httpx.ConnectTimeout):
        return f"nothing answers at {base_url}: start it with `antiphon up`, or set ANTIPHON_BASE_URL"
    if isinstance(error, httpx.TimeoutException):
        return f"{base_url} did not answer in time"
    return f"the connection to {base_url} broke off ({error or type(error).__name__})"
