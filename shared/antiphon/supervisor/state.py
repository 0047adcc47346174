"""What a running platform leaves on disk: its address, its key, its logs, the server's data.

Imports the standard library alone: the command line reads it on its way to a request.
"""

from __future__ import annotations

import json
import os
import secrets
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path


@dataclass(frozen=True)
class Address:
    """Where a platform listens, the process that supervises it, and where its bus is."""

    base_url: str
    pid: int
    redis_url: str | None = None

    def is_alive(self) -> bool:
        """Say whether the supervising process still exists."""
        try:
            os.kill(self.pid, 0)
        except ProcessLookupError:
            return False
        except PermissionError:
            return True
        return True


@dataclass(frozen=True)
class StateFolder:
    """The folder of one platform. Only its user may look inside."""

    root: Path

    @classmethod
    def from_environment(cls, environ: Mapping[str, str]) -> StateFolder:
        """Return `$ANTIPHON_STATE_DIR`, else `antiphon` under `$XDG_STATE_HOME` or `~/.local/state`."""
        if named := environ.get("ANTIPHON_STATE_DIR"):
            return cls(Path(named).expanduser().absolute())
        base = Path(environ.get("XDG_STATE_HOME") or "~/.local/state").expanduser()
        return cls(base.absolute() / "antiphon")

    @property
    def server(self) -> Path:
        """The data folder of the embedded server."""
        return self.root / "server"

    @property
    def logs(self) -> Path:
        """One bounded log file per process."""
        return self.root / "logs"

    @property
    def blobs(self) -> Path:
        """Recordings that wait to be worked on, too large for the server's memory."""
        return self.root / "blobs"

    def create(self) -> None:
        """Make the folder. Raises `OSError`."""
        self.root.mkdir(mode=0o700, parents=True, exist_ok=True)
        self.root.chmod(0o700)
        self.logs.mkdir(mode=0o700, exist_ok=True)
        self.blobs.mkdir(mode=0o700, exist_ok=True)

    def read_api_key(self) -> str | None:
        """Return the key made by an earlier start, or None."""
        try:
            return self._key_path.read_text(encoding="ascii").strip() or None
        except FileNotFoundError:
            return None

    def ensure_api_key(self) -> str:
        """Return the kept key, made on the first call."""
        if kept := self.read_api_key():
            return kept
        key = f"sk-antiphon-{secrets.token_urlsafe(24)}"
        _write_private(self._key_path, key + "\n")
        return key

    def read_address(self) -> Address | None:
        """Return the address of the platform that runs with this folder, or None when none does."""
        try:
            address = Address(**json.loads(self._address_path.read_text(encoding="utf-8")))
        except (FileNotFoundError, ValueError, TypeError):
            return None
        return address if address.is_alive() else None

    def write_address(self, address: Address) -> None:
        """Record where the platform listens."""
        _write_private(self._address_path, json.dumps(asdict(address)) + "\n")

    def remove_address(self) -> None:
        """Forget the address. Harmless when there is none."""
        self._address_path.unlink(missing_ok=True)

    def read_server_program(self) -> Path | None:
        """Return the program that wrote the server's data, or None before the first start."""
        try:
            return Path(self._program_path.read_text(encoding="utf-8").strip())
        except FileNotFoundError:
            return None

    def write_server_program(self, program: Path) -> None:
        """Record which program writes the server's data."""
        _write_private(self._program_path, f"{program}\n")

    @property
    def _key_path(self) -> Path:
        return self.root / "api-key"

    @property
    def _address_path(self) -> Path:
        return self.root / "address.json"

    @property
    def _program_path(self) -> Path:
        return self.server / "program"


def _write_private(path: Path, text: str) -> None:
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    part = path.with_name(path.name + ".part")
    fd = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(fd, "w", encoding="utf-8") as file:
        file.write(text)
    part.replace(path)
