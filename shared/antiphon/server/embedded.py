"""A server with its own data folder: its configuration, its address, and whether it answers.

It is started and stopped by the supervisor like any other child, with SIGTERM: the server then writes out its
append-only file and leaves.
"""

from __future__ import annotations

import asyncio
import os
import secrets
import socket
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

from antiphon.errors import Unavailable
from antiphon.server.choice import Program

SOCKET_PATH_BYTES = 103  # the shortest sun_path among the systems served, less its closing zero
POLL_S = 0.02
REPLY_TIMEOUT_S = 2.0


@dataclass(frozen=True)
class EmbeddedServer:
    """A configured server. Make one with `prepare`."""

    program: Program
    folder: Path
    config: Path
    url: str
    socket_path: Path | None
    port: int | None
    password: str | None

    @classmethod
    def prepare(cls, program: Program, folder: Path, *, max_memory: str = "1gb") -> EmbeddedServer:
        """Write the configuration of a server that keeps its data in `folder`, and return it unstarted.

        It listens on a unix socket in the folder that only this user may open. Where the path is too long for a
        socket it listens on a free loopback port, with a password, since any local user can reach a port.
        """
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        folder.chmod(0o700)
        folder = folder.resolve()
        path = folder / "server.sock"
        if len(os.fsencode(path)) <= SOCKET_PATH_BYTES:
            path.unlink(missing_ok=True)
            server = cls(
                program=program,
                folder=folder,
                config=folder / "server.conf",
                url=f"unix://{quote(str(path))}?db=0",
                socket_path=path,
                port=None,
                password=None,
            )
        else:
            port, password = _free_port(), secrets.token_urlsafe(24)
            server = cls(
                program=program,
                folder=folder,
                config=folder / "server.conf",
                url=f"redis://:{password}@127.0.0.1:{port}/0",
                socket_path=None,
                port=port,
                password=password,
            )
        server._write_config(max_memory)
        return server

    @property
    def command(self) -> tuple[str, ...]:
        """The command line that starts it."""
        return (str(self.program.path), str(self.config))

    async def answers(self) -> bool:
        """Say whether the server accepts commands now: it is up, and has loaded its data."""
        try:
            async with asyncio.timeout(REPLY_TIMEOUT_S):
                return await self._ping()
        except (OSError, TimeoutError):
            return False

    async def wait_ready(self, *, timeout_s: float = 60.0) -> None:
        """Wait until the server accepts commands. Raises `Unavailable` after `timeout_s` seconds."""
        try:
            async with asyncio.timeout(timeout_s):
                while not await self.answers():  # noqa: ASYNC110 - another process cannot set an Event
                    await asyncio.sleep(POLL_S)
        except TimeoutError:
            raise Unavailable(f"{self.program} did not answer within {timeout_s:.0f} s") from None

    async def _ping(self) -> bool:
        if self.socket_path is not None:
            reader, writer = await asyncio.open_unix_connection(str(self.socket_path))
        else:
            reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        try:
            if self.password is not None:
                writer.write(f"AUTH {self.password}\r\n".encode())
                if not (await reader.readline()).startswith(b"+OK"):
                    return False
            writer.write(b"PING\r\n")
            return (await reader.readline()).startswith(b"+PONG")
        finally:
            writer.close()

    def _write_config(self, max_memory: str) -> None:
        lines = [
            f"dir {_quoted(str(self.folder))}",
            "daemonize no",
            'logfile ""',
            # One fsync a second: a killed process loses nothing, a lost machine at most the last second.
            "appendonly yes",
            "appendfsync everysec",
            'save ""',
            # A full server refuses work at the door; evicting would drop accepted jobs without a word.
            "maxmemory-policy noeviction",
            f"maxmemory {max_memory}",
        ]
        if self.socket_path is not None:
            lines += ["port 0", f"unixsocket {_quoted(str(self.socket_path))}", "unixsocketperm 600"]
        else:
            lines += ["bind 127.0.0.1", f"port {self.port}", "protected-mode yes", f"requirepass {self.password}"]
        fd = os.open(self.config, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(fd, "w", encoding="utf-8") as file:
            file.write("\n".join(lines) + "\n")


def _quoted(text: str) -> str:
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
