"""Virtual environments of what a benchmark compares with."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from tests.bench.peers import ROOT
from tests.environments import python_environment

if TYPE_CHECKING:
    from pathlib import Path


async def environment(name: str) -> Path:
    """Return the folder of programs of the environment of `requirements/bench/<name>.lock`."""
    return await asyncio.to_thread(python_environment, ROOT / "requirements" / "bench" / f"{name}.lock")
