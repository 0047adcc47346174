"""The server under the running platform."""

from __future__ import annotations

from pathlib import Path

from tests.servers import Server, programs


class PlatformServer(Server):
    """The server that the platform has started itself, in its state folder."""

    def __init__(self, state: Path) -> None:
        super().__init__(programs()["valkey"], state / "server")

    @property
    def socket(self) -> Path:
        return self.folder / "server.sock"

    def pending(self, lane: str) -> int:
        """Return how many jobs of a lane wait or are worked on for callers who wait."""
        stream = f"jobs:{{{lane}}}:std"
        (group,) = self.describe("XINFO", "GROUPS", stream)
        return int(group["pending"]) + int(group["lag"] or 0)
