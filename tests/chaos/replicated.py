"""Servers with replicas, where the death of the server is that of a master: a replica takes its place."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.clusters import Cluster, cluster
from tests.sentinels import Sentinels, sentinels


class Trio(Sentinels):
    """A master with two replicas and a sentinel."""

    def kill(self) -> None:
        """Kill the master."""
        self.fail_over()


class Sextet(Cluster):
    """Three masters with a replica each."""

    def kill(self) -> None:
        """Kill the master of the lane `transcribe`."""
        self.fail_over()


@contextmanager
def trio(program: Path) -> Iterator[Sentinels]:
    """Run three servers and a sentinel; kill them at the end."""
    with sentinels(program, replicas=2, watchers=1, down_after_ms=1500, kind=Trio) as servers:
        yield servers


@contextmanager
def sextet(program: Path) -> Iterator[Cluster]:
    """Run six servers; kill them at the end."""
    with cluster(program, replicas=1, node_timeout_ms=1500, kind=Sextet) as servers:
        yield servers
