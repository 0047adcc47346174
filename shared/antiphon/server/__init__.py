"""The Redis or Valkey server that carries the bus on one machine: which one, how it is configured, when it is ready.

Nothing here speaks the Redis protocol beyond one `PING`; the bus does that.
"""

from __future__ import annotations

from antiphon.server.choice import External, Program, choose
from antiphon.server.embedded import EmbeddedServer
from antiphon.server.lock import DataLock

__all__ = ["DataLock", "EmbeddedServer", "External", "Program", "choose"]
