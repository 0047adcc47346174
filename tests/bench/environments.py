"""Virtual environments of what a benchmark compares with: each is made once, from a lock file with hashes."""

from __future__ import annotations

import asyncio
import hashlib
import shutil
import sys
from pathlib import Path

from antiphon.settings import default_cache_dir
from tests.bench.peers import ROOT

LOCKS = ROOT / "requirements" / "bench"


async def environment(name: str) -> Path:
    """Return the folder of programs of the environment `name`, made of `requirements/bench/<name>.lock`.

    It lies in the user's cache, one for each content of the lock. Raises `RuntimeError` with what pip said.
    """
    lock = LOCKS / f"{name}.lock"
    digest = hashlib.sha256(lock.read_bytes()).hexdigest()[:12]
    folder = default_cache_dir() / "bench" / f"{name}-{sys.version_info.major}.{sys.version_info.minor}-{digest}"
    made = folder / "made"
    if not made.exists():
        # One that was interrupted, or a leftover of another lock.
        await asyncio.to_thread(shutil.rmtree, folder, ignore_errors=True)
        print(f"installing {name} into {folder}", file=sys.stderr, flush=True)
        await _run(sys.executable, "-m", "venv", str(folder))
        pip = (str(folder / "bin" / "python"), "-m", "pip", "--disable-pip-version-check", "--no-input")
        await _run(*pip, "install", "--quiet", "--require-hashes", "-r", str(lock))
        made.touch()
    return folder / "bin"


async def _run(*command: str) -> None:
    process = await asyncio.create_subprocess_exec(
        *command, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT
    )
    said, _ = await process.communicate()
    if process.returncode:
        raise RuntimeError(f"{' '.join(command)}: {said.decode(errors='replace').strip()[-2000:]}")
