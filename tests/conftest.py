"""What several kinds of tests share: servers of their own, and the recordings when they are there."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import hypothesis
import pytest

from tests.servers import Server, programs, running

# No test here is about time, and a machine with other work takes longer.
hypothesis.settings.register_profile("antiphon", deadline=None)
hypothesis.settings.load_profile("antiphon")


@pytest.fixture(scope="session", params=sorted(programs()))
def server_program(request: pytest.FixtureRequest) -> Path:
    """Each server program that is served, one after the other."""
    return programs()[request.param]


@pytest.fixture(scope="session")
def shared_server(server_program: Path) -> Iterator[Server]:
    """A server that lives as long as the tests that use it. Take `server` instead, which is empty at first."""
    with running(server_program) as server:
        yield server


@pytest.fixture
def server(shared_server: Server) -> Iterator[Server]:
    """An empty server, and afterwards the proof that nothing was left on it for ever."""
    shared_server.do("FLUSHALL")
    shared_server.do("CONFIG", "RESETSTAT")
    yield shared_server
    assert shared_server.leaks() == []


@pytest.fixture
def own_server(server_program: Path) -> Iterator[Server]:
    """A server that the test may kill, fill or turn read-only."""
    with running(server_program) as server:
        yield server
