"""What is dialled for a name: the addresses that were looked at, and nothing else."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterable, Sequence

import httpcore
import pytest

from antiphon.egress import EgressBlocked, EgressRules, EgressSettings
from antiphon.egress.network import SystemResolver, VettedNetwork

pytestmark = pytest.mark.unit


class Dial(httpcore.AsyncNetworkBackend):
    """Writes down what is dialled; answers at the addresses in `up`, is refused or `silent` elsewhere."""

    def __init__(self, *, up: Sequence[str] = (), silent: bool = False) -> None:
        self.dialled: list[str] = []
        self._up = up
        self._silent = silent

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[httpcore.SOCKET_OPTION] | None = None,
    ) -> httpcore.AsyncNetworkStream:
        self.dialled.append(host)
        if host in self._up:
            return httpcore.AsyncMockStream([])
        if self._silent:
            assert timeout is not None
            await asyncio.sleep(timeout)
            raise httpcore.ConnectTimeout
        raise httpcore.ConnectError


class Names:
    """Answers each question with the next of `answers`, the last one again and again."""

    def __init__(self, *answers: Sequence[str] | Exception) -> None:
        self._answers = list(answers)
        self.asked = 0

    async def __call__(self, host: str, port: int) -> Sequence[str]:
        answer = self._answers[min(self.asked, len(self._answers) - 1)]
        self.asked += 1
        if isinstance(answer, Exception):
            raise answer
        return answer


def _network(names: Names, dial: Dial, *, allow: tuple[str, ...] = (), scheme: str = "https") -> VettedNetwork:
    rules = EgressRules.of(EgressSettings(egress_allow=allow))
    return VettedNetwork(rules, scheme=scheme, resolve=names, dial=dial)


async def test_a_name_is_resolved_once_and_what_was_vetted_is_dialled() -> None:
    names, dial = Names(["93.184.216.34"], ["127.0.0.1"]), Dial(up=["93.184.216.34"])
    await _network(names, dial).connect_tcp("example.org", 443, timeout=1)
    assert names.asked == 1
    assert dial.dialled == ["93.184.216.34"]


async def test_a_name_that_moves_inside_between_two_connections_is_not_followed() -> None:
    names, dial = Names(["93.184.216.34"], ["169.254.169.254"]), Dial(up=["93.184.216.34"])
    network = _network(names, dial)
    await network.connect_tcp("example.org", 443, timeout=1)
    with pytest.raises(EgressBlocked):
        await network.connect_tcp("example.org", 443, timeout=1)
    assert dial.dialled == ["93.184.216.34"]


@pytest.mark.parametrize("answer", [["93.184.216.34", "10.0.0.1"], ["10.0.0.1", "93.184.216.34"], ["fe80::1%2"], []])
async def test_one_forbidden_address_means_that_nothing_is_dialled(
    answer: list[str], caplog: pytest.LogCaptureFixture
) -> None:
    dial = Dial(up=["93.184.216.34"])
    with caplog.at_level(logging.WARNING), pytest.raises(EgressBlocked) as caught:
        await _network(Names(answer), dial).connect_tcp("inside.example", 443, timeout=1)
    assert dial.dialled == []
    assert all(address not in str(caught.value) for address in answer)
    assert vars(caplog.records[0])["addresses"] == answer, "the operator is told"


async def test_http_is_for_allowed_networks_alone() -> None:
    names, dial = Names(["10.0.0.1"], ["93.184.216.34"]), Dial(up=["10.0.0.1", "93.184.216.34"])
    network = _network(names, dial, allow=("10.0.0.0/8",), scheme="http")
    await network.connect_tcp("minio.internal", 9000, timeout=1)
    with pytest.raises(EgressBlocked):
        await network.connect_tcp("example.org", 80, timeout=1)
    assert dial.dialled == ["10.0.0.1"]


async def test_a_spelled_out_address_is_vetted_without_a_question() -> None:
    names, dial = Names(OSError()), Dial(up=["93.184.216.34"])
    network = _network(names, dial)
    await network.connect_tcp("93.184.216.34", 443, timeout=1)
    with pytest.raises(EgressBlocked):
        await network.connect_tcp("127.0.0.1", 443, timeout=1)
    assert (names.asked, dial.dialled) == (0, ["93.184.216.34"])


async def test_an_address_that_refuses_is_followed_by_the_next() -> None:
    dial = Dial(up=["1.0.0.1"])
    await _network(Names(["2606:4700::1", "1.1.1.1", "1.0.0.1"]), dial).connect_tcp("x.example", 443, timeout=1)
    assert dial.dialled == ["2606:4700::1", "1.1.1.1", "1.0.0.1"]


async def test_silent_addresses_share_the_time_to_connect() -> None:
    dial = Dial(silent=True)
    began = asyncio.get_running_loop().time()
    with pytest.raises(httpcore.ConnectTimeout):
        await _network(Names([f"1.1.1.{n}" for n in range(4)]), dial).connect_tcp("x.example", 443, timeout=0.2)
    assert len(dial.dialled) == 4
    assert asyncio.get_running_loop().time() - began < 2


async def test_a_name_server_that_never_answers_takes_no_longer_than_a_connection_may() -> None:
    async def hang(host: str, port: int) -> Sequence[str]:
        await asyncio.Event().wait()
        return []

    dial = Dial()
    with pytest.raises(httpcore.ConnectTimeout):
        await VettedNetwork(EgressRules(), scheme="https", resolve=hang, dial=dial).connect_tcp("x", 443, timeout=0.05)
    assert dial.dialled == []


@pytest.mark.parametrize("error", [OSError("no such name"), UnicodeError("label too long")])
async def test_a_name_without_an_answer_cannot_be_reached(error: Exception) -> None:
    with pytest.raises(httpcore.ConnectError):
        await _network(Names(error), Dial()).connect_tcp("nowhere.example", 443, timeout=1)


async def test_there_is_no_way_to_a_unix_socket() -> None:
    with pytest.raises(httpcore.ConnectError):
        await _network(Names([]), Dial()).connect_unix_socket("/run/docker.sock")


async def test_the_systems_answers_are_addresses_each_once() -> None:
    resolver = SystemResolver()
    try:
        assert await resolver("127.0.0.1", 443) == ("127.0.0.1",)
    finally:
        resolver.close()
