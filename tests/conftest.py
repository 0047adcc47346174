"""What several kinds of tests share: servers of their own, and the recordings when they are there."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path

import hypothesis
import pytest

from tests.clusters import cluster
from tests.sentinels import sentinels
from tests.servers import Server, programs, running

# No test here is about time, and a machine with other work takes longer.
hypothesis.settings.register_profile("antiphon", deadline=None)
hypothesis.settings.load_profile("antiphon")

TOPOLOGIES = ("single", "sentinel", "cluster")
SERVER_FIXTURES = {"server", "own_server", "shared_server"}


def pytest_addoption(parser: pytest.Parser) -> None:
    """Choose what the tests that take `server` or `own_server` run on."""
    names = ",".join(TOPOLOGIES)
    parser.addoption("--topology", default="single", help=f"servers to test on, of {names}, separated by commas")


def pytest_configure(config: pytest.Config) -> None:
    """Refuse what is no topology."""
    if strange := set(config.getoption("--topology").split(",")) - set(TOPOLOGIES):
        raise pytest.UsageError(f"--topology: {', '.join(strange)}: it is one of {', '.join(TOPOLOGIES)}")


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Run a test on each topology that was asked for, unless it says that it is about some of them only."""
    suited = suited_topologies(metafunc.config, metafunc.definition, metafunc.fixturenames)
    # Without any it is not run at all.
    if SERVER_FIXTURES & set(metafunc.fixturenames) and suited not in ([], ["single"]):
        metafunc.parametrize("topology", suited, indirect=True, scope="session")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out the tests that are about other topologies than were asked for."""
    left_out = {item for item in items if not suited_topologies(config, item, getattr(item, "fixturenames", ()))}
    if left_out:
        items[:] = [item for item in items if item not in left_out]
        config.hook.pytest_deselected(items=left_out)


def suited_topologies(config: pytest.Config, item: pytest.Item, fixtures: Iterable[str]) -> list[str]:
    """Return those that were asked for and that the test is about; one without such a server counts as `single`."""
    wanted: list[str] = config.getoption("--topology").split(",")
    marker = item.get_closest_marker("topologies")
    about = marker.args if marker is not None else TOPOLOGIES if SERVER_FIXTURES & set(fixtures) else ("single",)
    return [name for name in wanted if name in about]


@pytest.fixture(scope="session")
def topology(request: pytest.FixtureRequest) -> str:
    """What the servers are: `single`, `sentinel` or `cluster`."""
    return str(getattr(request, "param", "single"))


@pytest.fixture(scope="session", params=sorted(programs()))
def server_program(request: pytest.FixtureRequest) -> Path:
    """Each server program that is served, one after the other."""
    return programs()[request.param]


def servers_of(topology: str, program: Path, *options: str) -> AbstractContextManager[Server]:
    """Run servers of a program."""
    match topology:
        case "sentinel":
            return sentinels(program, *options)
        case "cluster":
            return cluster(program, *options)
        case _:
            return running(program, *options)


@pytest.fixture(scope="session")
def shared_server(topology: str, server_program: Path) -> Iterator[Server]:
    """A server that lives as long as the tests that use it. Take `server` instead, which is empty at first."""
    with servers_of(topology, server_program) as server:
        yield server


@pytest.fixture
def server(shared_server: Server) -> Iterator[Server]:
    """An empty server, and afterwards the proof that nothing was left on it for ever."""
    shared_server.do("FLUSHALL")
    shared_server.do("CONFIG", "RESETSTAT")
    yield shared_server
    assert shared_server.leaks() == []


@pytest.fixture
def own_server(topology: str, server_program: Path) -> Iterator[Server]:
    """A server that the test may kill, fill or turn read-only."""
    # One that is busy with its disk may lose the last moments of `everysec` when it is killed.
    with servers_of(topology, server_program, "--appendfsync", "always") as server:
        yield server
