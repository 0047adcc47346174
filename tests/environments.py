"""Environments of what is not installed beside the platform: each is made once, from a lock file with hashes.

They lie in the user's cache, one for each content of the lock.
"""

from __future__ import annotations

import fcntl
import hashlib
import shutil
import subprocess
import sys
from collections.abc import Callable
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from antiphon.settings import default_cache_dir
from tests.tools import Node

if TYPE_CHECKING:
    from collections.abc import Iterator


def python_environment(lock: Path) -> Path:
    """Return the folder of programs of the environment that a `requirements/GROUP/NAME.lock` names.

    Just what the lock names is installed. Raises `RuntimeError` with what pip said.
    """
    version = f"{sys.version_info.major}.{sys.version_info.minor}"

    def fill(folder: Path) -> None:
        _run(sys.executable, "-m", "venv", "--without-pip", folder)
        pip = (sys.executable, "-m", "pip", "--python", folder / "bin" / "python")
        options = ("--quiet", "--disable-pip-version-check", "--no-input", "--no-compile", "--no-deps")
        _run(*pip, "install", *options, "--require-hashes", "-r", lock)

    return _made(f"{lock.parent.name}/{lock.stem}-{version}", lock.read_bytes(), fill) / "bin"


def node_environment(node: Node, source: Path) -> Path:
    """Return the folder of modules that the `package-lock.json` in `source` names."""
    files = [source / "package.json", source / "package-lock.json"]

    def fill(folder: Path) -> None:
        folder.mkdir()
        for file in files:
            shutil.copy(file, folder)
        node.install(folder)

    return _made(f"{source.parent.name}/{source.name}", b"".join(file.read_bytes() for file in files), fill) / (
        "node_modules"
    )


def _made(name: str, content: bytes, fill: Callable[[Path], None]) -> Path:
    place = default_cache_dir() / name
    folder = place.with_name(f"{place.name}-{hashlib.sha256(content).hexdigest()[:12]}")
    made = folder / "made"
    folder.parent.mkdir(parents=True, exist_ok=True)
    with _alone(folder.with_name(f"{folder.name}.lock")):
        if not made.exists():
            # One that was interrupted.
            shutil.rmtree(folder, ignore_errors=True)
            print(f"installing into {folder}", file=sys.stderr, flush=True)
            fill(folder)
            made.touch()
    return folder


@contextmanager
def _alone(lock: Path) -> Iterator[None]:
    with lock.open("wb") as opened:
        fcntl.flock(opened, fcntl.LOCK_EX)
        yield


def _run(*command: str | Path) -> None:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"{' '.join(map(str, command))}: {(done.stdout + done.stderr).strip()[-2000:]}")
