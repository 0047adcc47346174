"""How the C library hands memory out.

A model call takes hundreds of megabytes in large blocks and gives them back. glibc learns from that to keep such
blocks, and a worker that has seen inputs of many lengths holds 200 MB of holes. With a fixed threshold every large
block goes back to the system at once; it costs nothing that can be measured.
"""

from __future__ import annotations

import ctypes

_M_MMAP_THRESHOLD = -3  # names and numbers of malloc.h
_M_ARENA_MAX = -8

LARGE_BYTES = 1 << 20
ARENAS = 2


def return_large_blocks() -> None:
    """Let the process give large blocks back as soon as they are free. Does nothing without glibc."""
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        mallopt(_M_MMAP_THRESHOLD, LARGE_BYTES)
        mallopt(_M_ARENA_MAX, ARENAS)
