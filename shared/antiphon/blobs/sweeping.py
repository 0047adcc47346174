"""Delete what has outlived its time in a folder."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from pathlib import Path

logger = logging.getLogger(__name__)

_LONGEST_PAUSE_S = 600.0


async def keep_swept(folder: Path, *, ttl_s: float) -> None:
    """Sweep the blobs of `folder` again and again."""
    while True:
        try:
            removed = await asyncio.to_thread(_sweep, folder, ttl_s)
            if removed:
                logger.info("old blobs were deleted", extra={"count": removed})
        except OSError as error:
            logger.warning("blobs cannot be swept", extra={"cause": str(error)})
        await asyncio.sleep(min(_LONGEST_PAUSE_S, ttl_s / 4))


def _sweep(folder: Path, ttl_s: float) -> int:
    limit, removed = time.time() - ttl_s, 0
    for path in folder.glob("[0-9]*/*"):
        # Every process of the platform sweeps: what is gone meanwhile has been swept by another.
        with contextlib.suppress(FileNotFoundError):
            if path.stat().st_mtime < limit:
                path.unlink()
                removed += 1
    for day in folder.glob("[0-9]*"):
        # A day that is over: nobody is about to write there.
        with contextlib.suppress(FileNotFoundError):
            if day.name < time.strftime("%Y%m%d", time.gmtime(limit)) and not any(day.iterdir()):
                day.rmdir()
    return removed
