"""Which processes make a platform, and in which order they start and stop."""

from __future__ import annotations

import json
import signal
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import IntEnum

from antiphon.schemas import Kind
from antiphon.server import DataLock, EmbeddedServer
from antiphon.supervisor.settings import PlatformSettings

SERVER_GRACE_S = 30.0
MARGIN_S = 10.0  # a process ends by itself when its time is over; only then it is killed
# The door is ready when these are. Nobody waits for a webhook: its events keep until its worker is there.
LANES: dict[str, Kind] = {
    "transcriber": "transcribe",
    "translator": "translate",
    "synthesizer": "synthesize",
    "responder": "respond",
    "realtime": "realtime",
}
SECRETS = ("ANTIPHON_API_KEYS", "ANTIPHON_API_KEY")


class Stage(IntEnum):
    """Processes start in this order and stop in the opposite one.

    The door closes first, while the workers can still finish what it has accepted; the server goes last, when
    nobody writes to it any more.
    """

    SERVER = 0
    WORKERS = 1
    DOOR = 2


@dataclass(frozen=True)
class ProcessSpec:
    """One child process."""

    name: str
    command: tuple[str, ...]
    environment: Mapping[str, str]
    stage: Stage
    grace_s: float  # between SIGTERM and SIGKILL
    # What the child gets when the supervisor is killed. Leases make SIGKILL safe for a service, and it is certain:
    # a service told to drain could wait for ever for a server that is gone. The server writes out its file first.
    orphan_signal: signal.Signals = signal.SIGKILL
    may_be_killed: bool = True  # by a user in a hurry
    pass_fds: tuple[int, ...] = field(default=())


def plan_server(server: EmbeddedServer, lock: DataLock, environ: Mapping[str, str]) -> ProcessSpec:
    """Return the process of the embedded server, which holds `lock` as long as it lives."""
    return ProcessSpec(
        name="server",
        command=server.command,
        # Some builds refuse to start under a locale that is not installed.
        environment={"PATH": environ.get("PATH", ""), "LC_ALL": "C"},
        stage=Stage.SERVER,
        grace_s=SERVER_GRACE_S,
        orphan_signal=signal.SIGTERM,
        may_be_killed=False,
        pass_fds=(lock.fd,),
    )


def plan_services(
    settings: PlatformSettings, *, redis_url: str, api_keys: tuple[str, ...], environ: Mapping[str, str]
) -> tuple[ProcessSpec, ...]:
    """Return the worker processes and the door, in starting order. Only the door learns the keys."""
    inherited = {name: value for name, value in environ.items() if name not in SECRETS}
    inherited |= {"REDIS_URL": redis_url, "PYTHONUNBUFFERED": "1"}
    door = inherited | {
        "ANTIPHON_HOST": settings.host,
        "ANTIPHON_PORT": str(settings.port),
        "ANTIPHON_API_KEYS": ",".join(api_keys),
    }
    door.setdefault("ANTIPHON_LANES", json.dumps(lanes_of(settings)))
    replicas_of = settings.workers()
    places = [(service, number) for service, count in replicas_of.items() for number in range(1, count + 1)]
    workers = [
        ProcessSpec(
            name=service if replicas_of[service] == 1 else f"{service}-{number}",
            command=service_command(service),
            environment=inherited | _metrics(settings, place),
            stage=Stage.WORKERS,
            grace_s=settings.drain.total_seconds() + MARGIN_S,
        )
        for place, (service, number) in enumerate(places, start=1)
    ]
    ingest = ProcessSpec(
        name="ingest",
        command=service_command("ingest"),
        environment=door | _metrics(settings, 0),
        stage=Stage.DOOR,
        grace_s=settings.door_grace_s + MARGIN_S,
    )
    return (*workers, ingest)


def _metrics(settings: PlatformSettings, place: int) -> dict[str, str]:
    """Return where a process tells its metrics: on one machine each needs a port of its own."""
    port = settings.metrics_port
    return {"ANTIPHON_METRICS_PORT": str(port + place if port else 0)}


def metrics_ports(settings: PlatformSettings) -> range:
    """Return the ports at which the metrics of the processes are, the door's first; none without a `metrics_port`."""
    port = settings.metrics_port
    return range(port, port + 1 + sum(settings.workers().values())) if port else range(0)


def lanes_of(settings: PlatformSettings) -> tuple[Kind, ...]:
    """Return the kinds of work that are waited for before the platform is ready."""
    return tuple(LANES[service] for service, replicas in settings.workers().items() if replicas and service in LANES)


def service_command(service: str) -> tuple[str, ...]:
    """Return the command line of a service. `-P`: a `services` folder where the user stands is not ours."""
    return (sys.executable, "-P", "-m", f"services.{service}")
