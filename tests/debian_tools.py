"""Programs that Debian's packages bring, unpacked beside the weights: nothing is installed, and root is not needed."""

from __future__ import annotations

import fcntl
import os
import shutil
import subprocess
import tempfile
from pathlib import Path

from antiphon.settings import default_cache_dir

_PATIENCE_S = 300


def debian_program(package: str, program: str) -> Path:
    """Return a program of a Debian package, `program` being its path in there, such as `usr/bin/promtool`.

    One that is on PATH is taken as it is. Else the package is fetched once, without what it depends on, from where
    this machine's apt is set up to fetch from; the lists that this needs are fetched into a folder of the tests' own.

    Raises `AssertionError`, with apt's own words, where the package cannot be had.
    """
    if found := shutil.which(Path(program).name):
        return Path(found)
    home = default_cache_dir() / "tools"
    home.mkdir(parents=True, exist_ok=True)
    with (home / ".lock").open("w") as lock:
        # Several runs of the tests may want it at once, and half an archive unpacks as well as a whole one.
        fcntl.flock(lock, fcntl.LOCK_EX)
        unpacked = home / package
        if not unpacked.is_dir():
            _unpack(package, unpacked)
    found_in = unpacked / program
    assert found_in.is_file(), f"Debian's package {package} has no {program}"
    return found_in


def _unpack(package: str, target: Path) -> None:
    for name in ("apt-get", "dpkg-deb"):
        assert shutil.which(name), f"{package} is neither on PATH nor to be had from Debian: there is no {name} here"
    with tempfile.TemporaryDirectory(prefix=f"{package}-", dir=target.parent) as folder:
        work = Path(folder)
        # With lists of its own: the machine's may be old or, as in a fresh container, not there at all.
        (work / "lists" / "partial").mkdir(parents=True)
        (work / "cache" / "archives" / "partial").mkdir(parents=True)
        options = [f"-oDir::State::lists={work / 'lists'}", f"-oDir::Cache={work / 'cache'}"]
        options += ["-oAcquire::Retries=3", "-oAcquire::Languages=none", "-oAPT::Sandbox::User="]
        # A source that does not answer is no matter while another one has the package.
        listed = _run(["apt-get", "-q", *options, "update"], work)
        fetched = _run(["apt-get", "-q", *options, "download", package], work)
        archives = sorted(work.glob("*.deb"))
        assert fetched.returncode == 0 and archives, (
            f"cannot fetch Debian's package {package}:\n{listed.stdout}{listed.stderr}{fetched.stdout}{fetched.stderr}"
        )
        unpacked = _run(["dpkg-deb", "--extract", str(archives[0]), str(work / "unpacked")], work)
        assert unpacked.returncode == 0, unpacked.stderr
        (work / "unpacked").rename(target)


def _run(command: list[str], folder: Path) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "LC_ALL": "C.UTF-8"}
    return subprocess.run(
        command, cwd=folder, env=environment, capture_output=True, text=True, timeout=_PATIENCE_S, check=False
    )
