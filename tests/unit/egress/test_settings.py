"""The networks an operator allows."""

from __future__ import annotations

import pytest

from antiphon.egress import EgressSettings
from antiphon.settings import WorkerSettings

pytestmark = pytest.mark.unit


@pytest.mark.parametrize(
    ("value", "networks"),
    [
        ("", ()),
        ("10.0.0.0/8", ("10.0.0.0/8",)),
        (" 10.0.0.0/8, fd00::/8 ,", ("10.0.0.0/8", "fd00::/8")),
        ('["10.0.0.0/8", "127.0.0.1"]', ("10.0.0.0/8", "127.0.0.1")),
        ("[]", ()),
    ],
)
def test_networks_are_a_list_with_commas_or_of_json(
    monkeypatch: pytest.MonkeyPatch, value: str, networks: tuple[str, ...]
) -> None:
    monkeypatch.setenv("ANTIPHON_EGRESS_ALLOW", value)
    assert EgressSettings.from_environment().egress_allow == networks
    assert WorkerSettings.from_environment().egress.egress_allow == networks


@pytest.mark.parametrize(
    ("value", "problem"),
    [
        ("10.0.0.1/8", "10.0.0.1/8 has host bits set"),
        ("10.0.0.0/8 192.168.0.0/16", "not a network"),
        ("intranet", "'intranet' does not appear to be"),
        ("[10.0.0.0/8]", "neither a JSON list nor networks separated by commas"),
        ("[1]", "should be a valid string"),
    ],
)
def test_a_process_says_which_network_is_wrong(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], value: str, problem: str
) -> None:
    monkeypatch.setenv("ANTIPHON_EGRESS_ALLOW", value)
    with pytest.raises(SystemExit) as stopped:
        WorkerSettings.from_environment()
    assert stopped.value.code == 78
    said = capsys.readouterr().err
    assert said.startswith("cannot start: ANTIPHON_EGRESS_ALLOW")
    assert problem in said
