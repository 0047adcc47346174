"""A whole platform on one machine: choose the server, plan the services, run them."""

from __future__ import annotations

import asyncio
import importlib.util
import os
import socket
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from antiphon.errors import Unavailable
from antiphon.server import DataLock, EmbeddedServer, External, choose
from antiphon.stopping import StopRequest
from antiphon.supervisor.plan import ProcessSpec, plan_server, plan_services
from antiphon.supervisor.readiness import wait_served
from antiphon.supervisor.settings import PlatformSettings
from antiphon.supervisor.state import Address, StateFolder
from antiphon.supervisor.supervisor import Supervisor


@dataclass(frozen=True)
class Platform:
    """What `antiphon up` runs."""

    settings: PlatformSettings
    state: StateFolder
    environ: Mapping[str, str]
    say: Callable[[str], None]
    on_line: Callable[[str, str], None] | None = None

    @property
    def root_url(self) -> str:
        """Where the door listens, as a client on this machine reaches it."""
        host = {"0.0.0.0": "127.0.0.1", "::": "[::1]"}.get(self.settings.host, self.settings.host)  # noqa: S104
        return f"http://{host}:{self.settings.port}"

    def api_keys(self) -> tuple[str, ...]:
        """Return the keys that open the door: those given, else the one that is kept with the state."""
        return self.settings.keys() or (self.state.ensure_api_key(),)

    async def run(self, *, stop: StopRequest, on_ready: Callable[[], None] = lambda: None) -> None:
        """Run until `stop` is asked for. Raises `Unavailable` with one line of reason when it cannot start."""
        if not _has_services():
            raise Unavailable("the services are not installed here: this command runs from a checkout or an image")
        if (running := self.state.read_address()) is not None:
            raise Unavailable(
                f"antiphon is already running at {running.base_url} (process {running.pid}): "
                "stop it, or set ANTIPHON_STATE_DIR and ANTIPHON_PORT to run another one"
            )
        self._require_free_port()
        try:
            self.state.create()
        except OSError as error:
            raise Unavailable(f"the state folder {self.state.root} cannot be used: {error.strerror}") from None
        chosen = await asyncio.to_thread(choose, self.environ, remembered=self.state.read_server_program())
        if isinstance(chosen, External):
            self.say(f"server: {chosen} (REDIS_URL)")
            await self._serve((), redis_url=chosen.url, stop=stop, on_ready=on_ready)
            return
        lock = DataLock(self.state.server)
        await asyncio.to_thread(lock.acquire)
        try:
            self.state.write_server_program(chosen.path)
            server = EmbeddedServer.prepare(chosen, self.state.server, max_memory=self.settings.server_memory)
            self.say(f"server: {chosen}, data in {self.state.server}")
            await self._serve(
                (plan_server(server, lock, self.environ),),
                redis_url=server.url,
                stop=stop,
                on_ready=on_ready,
                server=server,
            )
        finally:
            lock.release()

    async def _serve(
        self,
        server_specs: tuple[ProcessSpec, ...],
        *,
        redis_url: str,
        stop: StopRequest,
        on_ready: Callable[[], None],
        server: EmbeddedServer | None = None,
    ) -> None:
        environ = {**self.environ, "ANTIPHON_STATE_DIR": str(self.state.root)}
        if server is not None:
            # Recordings stay out of the server's memory. Not with a server elsewhere: its other workers may be on
            # machines that do not see this folder.
            environ.setdefault("ANTIPHON_BLOB_URL", f"file://{self.state.blobs}")
        services = plan_services(self.settings, redis_url=redis_url, api_keys=self.api_keys(), environ=environ)
        self.say(f"services: {', '.join(spec.name for spec in services)}, logs in {self.state.logs}")

        async def server_ready() -> None:
            if server is not None:
                await server.wait_ready(timeout_s=self.settings.ready.total_seconds())

        async def ready() -> None:
            await wait_served(self.root_url, timeout_s=self.settings.ready.total_seconds())

        def announce() -> None:
            self.state.write_address(Address(base_url=f"{self.root_url}/v1", pid=os.getpid(), redis_url=redis_url))
            on_ready()

        supervisor = Supervisor(logs=self.state.logs, say=self.say, on_line=self.on_line)
        try:
            await supervisor.run(
                (*server_specs, *services), stop=stop, server_ready=server_ready, ready=ready, on_ready=announce
            )
        finally:
            self.state.remove_address()

    def _require_free_port(self) -> None:
        """Raise `Unavailable` when the port is taken: sooner and plainer than the door can say it."""
        host, port = self.settings.host, self.settings.port
        try:
            family, kind, proto, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
            with socket.socket(family, kind, proto) as probe:
                probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                probe.bind(address)
        except OSError as error:
            raise Unavailable(
                f"cannot listen on {host} port {port} ({error.strerror}): set ANTIPHON_PORT or ANTIPHON_HOST"
            ) from None


def _has_services() -> bool:
    try:
        return importlib.util.find_spec("services.ingest") is not None
    except ModuleNotFoundError:
        return False
