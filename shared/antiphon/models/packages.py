"""Ask the package clients of this machine where a package's file is. No registry is named here: they know theirs."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from importlib import metadata, util
from pathlib import Path
from typing import Any

from antiphon.errors import Unavailable
from antiphon.models.manifest import Archive
from antiphon.models.transfer import Transfer

_ASK_TIMEOUT_S = 300.0


def installed_file(archive: Archive, member: str) -> Path | None:
    """Return `member` of a Python package that is installed here in the wanted version, or None."""
    if archive.registry != "pypi":
        return None
    try:
        distribution = metadata.distribution(archive.package)
    except metadata.PackageNotFoundError:
        return None
    if distribution.version != archive.version:
        return None
    path = Path(str(distribution.locate_file(member)))
    return path if path.is_file() else None


def find_wheels(specs: Sequence[str], *, platform: str | None = None) -> dict[str, Transfer | str]:
    """Ask pip where the wheels of `name==version` specs are, or for each why that is not known.

    `platform` asks for the wheel of another platform than this one.
    """
    chosen = ["--platform", platform] if platform else []
    try:
        answers = _json_of(
            "pip", [sys.executable, "-m", "antiphon.models.ask_pip", *chosen, *specs], extra=_with_pip_importable()
        )
    except Unavailable:
        return {spec: find_by_dry_run(spec, chosen) for spec in specs}
    return {
        spec: answer["error"] if "error" in answer else Transfer(url=answer["url"], sha256=answer["sha256"], size=None)
        for spec, answer in answers.items()
    }


def find_by_dry_run(spec: str, chosen: Sequence[str]) -> Transfer | str:
    """Ask pip the public way, which fetches the wheel to find out. Returns the place, or why it is not known."""
    try:
        with tempfile.TemporaryDirectory() as nowhere:
            report = _json_of(
                "pip",
                [
                    *_pip_command(),
                    *("install", "--dry-run", "--ignore-installed", "--no-deps", "--only-binary", ":all:", "--quiet"),
                    *("--disable-pip-version-check", "--no-input", "--retries", "2", "--report", "-"),
                    # pip allows a foreign platform only with a target; a dry run writes nothing to it.
                    *((*chosen, "--target", nowhere) if chosen else ()),
                    spec,
                ],
            )
        info = report["install"][0]["download_info"]
        return Transfer(url=info["url"], sha256=info["archive_info"]["hashes"]["sha256"], size=None)
    except Unavailable as error:
        return error.message
    except (KeyError, IndexError, TypeError):
        return "pip: its report does not say where the wheel is"


def _pip_command() -> list[str]:
    """Return how to call pip: this interpreter's, else one on PATH. Raises `Unavailable`."""
    if util.find_spec("pip") is not None:
        return [sys.executable, "-m", "pip"]
    for name in ("pip3", "pip"):
        if found := shutil.which(name):
            return [found]
    raise Unavailable("there is no pip here to ask where packages are")


def _with_pip_importable() -> dict[str, str]:
    """Return the PYTHONPATH that gives an interpreter without pip the one in Python's own `ensurepip`."""
    here = [path for path in sys.path if path]
    if util.find_spec("pip") is None and (spare := util.find_spec("ensurepip")) is not None and spare.origin:
        here += map(str, sorted(Path(spare.origin).parent.glob("_bundled/pip-*.whl")))
    return {"PYTHONPATH": os.pathsep.join(here)}


def find_tarball(spec: str, *, npm: Sequence[str]) -> Transfer:
    """Ask npm where the tarball of `name@version` is. Raises `Unavailable`."""
    # A child npm inherits no colour and no pager, and must not look for a project around this folder.
    answer = _json_of("npm", [*npm, "view", spec, "dist", "--json"], extra={"NO_UPDATE_NOTIFIER": "1"})
    return Transfer(url=answer["tarball"], sha256=None, size=None)


def _json_of(name: str, command: Sequence[str], *, extra: Mapping[str, str] | None = None) -> Any:
    """Run a command and parse what it prints. Raises `Unavailable` with the last line of its complaint."""
    try:
        done = subprocess.run(  # noqa: S603 the words come from the manifest
            command,
            capture_output=True,
            check=False,
            stdin=subprocess.DEVNULL,
            text=True,
            timeout=_ASK_TIMEOUT_S,
            env={**os.environ, **(extra or {})},
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise Unavailable(f"{name}: {error}") from None
    if done.returncode:
        raise Unavailable(f"{name}: {_complaint(done.stderr) or f'exit code {done.returncode}'}")
    try:
        return json.loads(done.stdout)
    except ValueError:
        raise Unavailable(f"{name} answers what is not JSON") from None


def _complaint(text: str) -> str:
    """Return what the client says went wrong: pip's last error line, npm's first two."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    pip = [line for line in lines if line.startswith("ERROR:")]
    npm = [line for line in lines if line.startswith(("npm error", "npm ERR!"))]
    return ("; ".join(npm[:2]) or " ".join(pip[-1:]) or " ".join(lines[-1:]))[:300]
