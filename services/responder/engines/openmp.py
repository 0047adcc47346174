"""The OpenMP library that llama.cpp is built against, where the system has none.

Bare images come without it, while other packages bring a copy of their own under another name.
"""

from __future__ import annotations

import ctypes
import sysconfig
from collections.abc import Mapping
from pathlib import Path

NAME = "libgomp.so.1"


def is_installed() -> bool:
    """Tell whether the system has the library."""
    try:
        ctypes.CDLL(NAME)
    except OSError:
        return False
    return True


def bundled_copy() -> Path | None:
    """Return the copy that an installed package brings, if one does."""
    packages = Path(sysconfig.get_paths()["platlib"])
    return next(iter(sorted(packages.glob("*.libs/libgomp-*.so*"))), None)


def with_openmp(environment: Mapping[str, str], folder: Path) -> dict[str, str]:
    """Return the environment of a process that finds the library, by a link in `folder` where that is needed.

    Where there is no copy either, the process says itself what it lacks.
    """
    copy = None if is_installed() else bundled_copy()
    if copy is None:
        return dict(environment)
    (folder / NAME).symlink_to(copy)
    paths = [str(folder), *filter(None, [environment.get("LD_LIBRARY_PATH")])]
    return {**environment, "LD_LIBRARY_PATH": ":".join(paths)}
