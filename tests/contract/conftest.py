"""The running platform: one that the tests start, or the one that `ANTIPHON_TEST_BASE_URL` names.

That one needs two keys, `ANTIPHON_TEST_API_KEY` and `ANTIPHON_TEST_OTHER_API_KEY`, its bus at `REDIS_URL`, and
`ANTIPHON_EGRESS_ALLOW` for this machine's loopback, where the tests receive webhooks.
"""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import httpx
import openai
import pytest

from antiphon.models import WeightStore
from antiphon.settings import default_cache_dir
from tests.contract.collector import Collector, collecting

READY_S = 180.0
STOP_S = 60.0
LOOPBACK = "127.0.0.0/8,::1/128"
API_VERSION = "2025-04-01-preview"
_MODELS = """
[deployments]
"my whisper" = "whisper-1"
"my voice" = "tts-1"
"""


@dataclass(frozen=True)
class Served:
    """Where the platform listens, and the keys that open it: each is a tenant of its own."""

    root_url: str
    api_key: str
    other_api_key: str
    state: Path | None = None

    @property
    def base_url(self) -> str:
        """Where clients of OpenAI's API point."""
        return f"{self.root_url}/v1"

    @property
    def redis_url(self) -> str:
        """Where its bus is."""
        return f"unix://{self.state}/server/server.sock" if self.state else os.environ["REDIS_URL"]


@pytest.fixture(scope="session")
def collector() -> Iterator[Collector]:
    """Where the platform sends its spans."""
    with collecting() as opened:
        yield opened


@pytest.fixture(scope="session")
def platform(tmp_path_factory: pytest.TempPathFactory, collector: Collector) -> Iterator[Served]:
    if url := os.environ.get("ANTIPHON_TEST_BASE_URL"):
        yield Served(
            url.rstrip("/").removesuffix("/v1"),
            os.environ["ANTIPHON_TEST_API_KEY"],
            os.environ["ANTIPHON_TEST_OTHER_API_KEY"],
        )
        return
    # Paths of sockets are short.
    state = tmp_path_factory.mktemp("state")
    models = tmp_path_factory.mktemp("models") / "models.toml"
    models.write_text(_MODELS)
    served = Served(f"http://127.0.0.1:{free_port()}", "sk-contract-0123456789", "sk-contract-other-0123456789", state)
    environment = {name: value for name, value in os.environ.items() if name != "REDIS_URL"} | {
        "ANTIPHON_PORT": served.root_url.rpartition(":")[2],
        "ANTIPHON_STATE_DIR": str(state),
        "ANTIPHON_API_KEYS": f"{served.api_key},{served.other_api_key}",
        "ANTIPHON_EGRESS_ALLOW": LOOPBACK,
        "ANTIPHON_MODELS_FILE": str(models),
        "OTEL_EXPORTER_OTLP_ENDPOINT": collector.endpoint,
        "OTEL_BSP_SCHEDULE_DELAY": "200",
    }
    log = state.parent / f"{state.name}.log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", "antiphon.cli", "up"], env=environment, stdout=output, stderr=subprocess.STDOUT
        )
        try:
            await_ready(served, process, log)
            yield served
        finally:
            process.send_signal(signal.SIGTERM)
            try:
                process.wait(STOP_S)
            finally:
                process.kill()
                process.wait()
    assert process.returncode == 0, log.read_text()


def await_ready(served: Served, process: subprocess.Popen[bytes], log: Path) -> None:
    """Wait until the platform says that it serves; fail with its own words when it does not."""
    deadline = time.monotonic() + READY_S
    said = ""
    while time.monotonic() < deadline and process.poll() is None:
        try:
            reply = httpx.get(f"{served.root_url}/readyz", trust_env=False, timeout=5)
        except httpx.TransportError:
            reply = None
        if reply is not None and reply.status_code == 200:
            return
        said = reply.text if reply is not None else said
        time.sleep(0.1)
    process.terminate()
    process.wait(STOP_S)
    pytest.fail(f"the platform did not start: {said}\n{log.read_text()}", pytrace=False)


def free_port() -> int:
    """Return a port that nobody listens on."""
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port: int = probe.getsockname()[1]
        return port


@pytest.fixture
def client(platform: Served) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(base_url=platform.base_url, api_key=platform.api_key, max_retries=0, timeout=100) as opened:
        yield opened


@pytest.fixture
def azure(platform: Served) -> Iterator[openai.AzureOpenAI]:
    with openai.AzureOpenAI(
        azure_endpoint=platform.root_url,
        api_key=platform.api_key,
        api_version=API_VERSION,
        max_retries=0,
        timeout=100,
    ) as opened:
        yield opened


@pytest.fixture
def http(platform: Served) -> Iterator[httpx.Client]:
    """A client that sends what it is told to, with the key."""
    headers = {"authorization": f"Bearer {platform.api_key}"}
    with httpx.Client(base_url=platform.root_url, headers=headers, trust_env=False, timeout=100) as opened:
        yield opened


@pytest.fixture
def other_client(platform: Served) -> Iterator[openai.OpenAI]:
    """The SDK with the key of another tenant."""
    with openai.OpenAI(
        base_url=platform.base_url, api_key=platform.other_api_key, max_retries=0, timeout=100
    ) as opened:
        yield opened


@pytest.fixture
def other_http(platform: Served) -> Iterator[httpx.Client]:
    """The same as `http` with the key of another tenant."""
    headers = {"authorization": f"Bearer {platform.other_api_key}"}
    with httpx.Client(base_url=platform.root_url, headers=headers, trust_env=False, timeout=100) as opened:
        yield opened


@pytest.fixture(scope="session")
def clips() -> Path:
    """Human speech, `LANGUAGE/NAME.wav` and what is said in it in `.txt`."""
    return WeightStore(_cache_dir()).folder("speech-samples")


@pytest.fixture(scope="session")
def reading() -> Path:
    """Two minutes of human speech."""
    return WeightStore(_cache_dir()).folder("speech-readings") / "two_cities.wav"


def _cache_dir() -> Path:
    named = os.environ.get("ANTIPHON_CACHE_DIR")
    return Path(named) if named else default_cache_dir()
