"""Ports for the metrics of a platform of ours, which gives its processes one after the other."""

from __future__ import annotations

import random
import socket
from contextlib import ExitStack

_LOWEST, _HIGHEST = 20_000, 31_000
"""Below those that the system gives to whoever asks for any."""
_TRIES = 50


def free_ports(count: int) -> range:
    """Return so many ports in a row that nobody listens on. Raises `OSError`."""
    for _ in range(_TRIES):
        first = random.randrange(_LOWEST, _HIGHEST)
        with ExitStack() as probes:
            try:
                for port in range(first, first + count):
                    probes.enter_context(socket.create_server(("127.0.0.1", port)))
            except OSError:
                continue
            return range(first, first + count)
    raise OSError(f"no {count} free ports in a row")
