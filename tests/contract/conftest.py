"""The running platform: one that the tests start, or the one that `ANTIPHON_TEST_BASE_URL` names.

That one needs two keys, `ANTIPHON_TEST_API_KEY` and `ANTIPHON_TEST_OTHER_API_KEY`, its bus at `REDIS_URL`, and
`ANTIPHON_EGRESS_ALLOW` for this machine's loopback, where the tests receive webhooks. Tests that need more of it than
a client sees, as other doors or a language model that fails as it is told, are for the tests' own platform alone.
"""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import httpx
import openai
import pytest
import pytest_asyncio

from antiphon.models import WeightStore
from antiphon.settings import default_cache_dir
from tests.contract.chat_models import PEER_KEY_ENV, UPSTREAM_KEY, UPSTREAM_KEY_ENV, models_file
from tests.contract.chat_replicas import Replica, replica
from tests.contract.chat_upstream import ScriptedUpstream, scripted
from tests.contract.collector import Collector, collecting
from tests.contract.realtime_models import realtime_models
from tests.load.ports import free_ports as neighbouring_ports

_PROCESSES = 7
"""The door and a worker of each lane."""
READY_S = 180.0
STOP_S = 60.0
LOOPBACK = "127.0.0.0/8,::1/128"
API_VERSION = "2025-04-01-preview"


@dataclass(frozen=True)
class Served:
    """Where the platform listens, and the keys that open it: each is a tenant of its own.

    `state` and `environment` are those of its processes, `second_port` is where its second door is to be, and
    `metrics_ports` is where they tell their figures, when the tests have started it.
    """

    root_url: str
    api_key: str
    other_api_key: str
    state: Path | None = None
    environment: Mapping[str, str] = field(default_factory=dict)
    second_port: int = 0
    metrics_ports: range = range(0)

    @property
    def base_url(self) -> str:
        """Where clients of OpenAI's API point."""
        return f"{self.root_url}/v1"

    @property
    def redis_url(self) -> str:
        """Where its bus is."""
        return f"unix://{self.state}/server/server.sock" if self.state else os.environ["REDIS_URL"]

    def door_environment(self) -> dict[str, str]:
        """Return what another door of it is started with."""
        if self.state is None:
            pytest.skip("another door of a platform can be opened only by who has started it")
        return {
            **self.environment,
            "REDIS_URL": self.redis_url,
            "ANTIPHON_BLOB_URL": f"file://{self.state}/blobs",
            # The first door listens where the environment says.
            "ANTIPHON_METRICS_PORT": "0",
        }


@pytest.fixture(scope="session")
def collector() -> Iterator[Collector]:
    """Where the platform sends its spans."""
    with collecting() as opened:
        yield opened


@pytest.fixture(scope="session")
def scripted_upstream() -> Iterator[ScriptedUpstream]:
    """The server behind some of the platform's language models."""
    with scripted() as opened:
        yield opened


@pytest.fixture(scope="session")
def platform(
    tmp_path_factory: pytest.TempPathFactory, collector: Collector, scripted_upstream: ScriptedUpstream
) -> Iterator[Served]:
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
    port, second_port, nobodys_port = free_ports(3)
    metrics_ports = neighbouring_ports(_PROCESSES)
    models.write_text(
        models_file(
            upstream_url=scripted_upstream.base_url,
            peer_url=f"http://127.0.0.1:{second_port}/v1",
            nowhere_url=f"http://127.0.0.1:{nobodys_port}/v1",
        )
        + realtime_models(upstream_url=scripted_upstream.base_url)
    )
    api_key, other_api_key = "sk-contract-0123456789", "sk-contract-other-0123456789"
    environment = {name: value for name, value in os.environ.items() if name != "REDIS_URL"} | {
        "ANTIPHON_PORT": str(port),
        "ANTIPHON_STATE_DIR": str(state),
        "ANTIPHON_API_KEYS": f"{api_key},{other_api_key}",
        "ANTIPHON_EGRESS_ALLOW": LOOPBACK,
        "ANTIPHON_MODELS_FILE": str(models),
        UPSTREAM_KEY_ENV: UPSTREAM_KEY,
        PEER_KEY_ENV: other_api_key,
        "OTEL_EXPORTER_OTLP_ENDPOINT": collector.endpoint,
        "OTEL_BSP_SCHEDULE_DELAY": "200",
        "ANTIPHON_METRICS_PORT": str(metrics_ports.start),
        # Nothing that is ever said may be a caller's own.
        "ANTIPHON_LOG_LEVEL": "DEBUG",
    }
    served = Served(f"http://127.0.0.1:{port}", api_key, other_api_key, state, environment, second_port, metrics_ports)
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


def free_ports(count: int) -> list[int]:
    """Return ports that nobody listens on."""
    with contextlib.ExitStack() as probes:
        opened = [probes.enter_context(socket.create_server(("127.0.0.1", 0))) for _ in range(count)]
        return [probe.getsockname()[1] for probe in opened]


@pytest.fixture(scope="session")
def second_door(platform: Served) -> Iterator[Replica]:
    """Another door of the platform, which some of its models ask as they would ask any server."""
    with replica(platform.second_port, platform.door_environment()) as door:
        yield door


@pytest.fixture(scope="session")
def upstream(platform: Served, scripted_upstream: ScriptedUpstream) -> ScriptedUpstream:
    """The scripted server, where the platform knows it."""
    if platform.state is None:
        pytest.skip("the scripted server is behind models of the tests' own platform alone")
    return scripted_upstream


@pytest.fixture
def client(platform: Served) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(base_url=platform.base_url, api_key=platform.api_key, max_retries=0, timeout=100) as opened:
        yield opened


@pytest_asyncio.fixture
async def realtime(platform: Served) -> AsyncIterator[openai.AsyncOpenAI]:
    """The SDK for sessions."""
    async with openai.AsyncOpenAI(
        base_url=platform.base_url,
        websocket_base_url=platform.base_url.replace("http", "ws", 1),
        api_key=platform.api_key,
        max_retries=0,
        timeout=100,
    ) as opened:
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
