"""Keep the C library from holding on to memory that a model call has freed. Without glibc nothing happens.

A call takes hundreds of megabytes, and frees them into the arena of its thread, where they stay. One arena for all
threads reuses them; large blocks can go back to the system at once; what is left can be trimmed when nothing runs.
"""

from __future__ import annotations

import ctypes
from typing import Any

_MMAP_THRESHOLD, _ARENA_MAX = -3, -8  # numbers of malloc.h
_LARGE_BYTES = 1 << 20


def share_arena(arenas: int = 1) -> None:
    """Let all threads allocate from so few arenas. Call it before they start."""
    if mallopt := _function("mallopt"):
        mallopt(_ARENA_MAX, arenas)


def return_large_blocks() -> None:
    """Let blocks of a megabyte and more go back as soon as they are free.

    glibc otherwise learns from large blocks to keep them, and inputs of many lengths leave holes of many sizes.
    """
    if mallopt := _function("mallopt"):
        mallopt(_MMAP_THRESHOLD, _LARGE_BYTES)


def return_memory() -> None:
    """Give what is free back to the system. Blocking, some milliseconds."""
    if trim := _function("malloc_trim"):
        trim(0)


def _function(name: str) -> Any:
    try:
        return getattr(ctypes.CDLL(None), name, None)
    except OSError:
        return None
