"""The masters of a cluster, as `Servers`."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING

from antiphon.bus.cluster import slot_of
from antiphon.bus.cluster_line import ClusterLine
from antiphon.bus.cluster_outbox import ClusterOutbox

if TYPE_CHECKING:
    from collections.abc import Sequence

    from antiphon.bus.cluster import Cluster
    from antiphon.bus.line import Line
    from antiphon.bus.outbox import Outbox


class ClusterServers:
    """One map for all that talks to the cluster."""

    def __init__(self, cluster: Cluster) -> None:
        self._cluster = cluster

    def outbox(self, scripts: dict[str, str]) -> Outbox:
        """Return an outbox with a connection to each master."""
        return ClusterOutbox(self._cluster, scripts)

    def line(self, key: str | bytes, *, timeout_s: float | None = None) -> Line:
        """Return a connection that follows the key's slot."""
        return ClusterLine(self._cluster, slot_of(key), timeout_s=timeout_s)

    def together(self, keys: Sequence[bytes]) -> list[list[bytes]]:
        """Return the keys by slot."""
        groups: dict[int, list[bytes]] = defaultdict(list)
        for key in keys:
            groups[slot_of(key)].append(key)
        return list(groups.values())

    async def close(self) -> None:
        """Nothing is shared but the map."""
