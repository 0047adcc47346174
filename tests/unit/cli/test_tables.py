"""How lists are shown, and where the bus is looked for."""

from __future__ import annotations

import os
from pathlib import Path
from typing import get_args

import pytest
from rich.console import Console

from antiphon.cli.bus import find_bus
from antiphon.cli.failure import CommandFailed
from antiphon.cli.options import KINDS, LaneName, kinds_of
from antiphon.cli.tables import make_table, say_seconds
from antiphon.schemas import Kind
from antiphon.supervisor.state import Address, StateFolder

pytestmark = pytest.mark.unit


@pytest.mark.parametrize(
    ("seconds", "said"),
    [
        (None, ""),
        (0.04, "0.0 s"),
        (9.94, "9.9 s"),
        (75.2, "75 s"),
        (600, "10 min"),
        (3 * 3600, "3.0 h"),
        (86400 * 9, "9 d"),
    ],
)
def test_a_length_of_time_is_told_to_about_two_digits(seconds: float | None, said: str) -> None:
    assert say_seconds(seconds) == said


def test_a_narrow_terminal_shortens_what_is_long_and_keeps_the_rest_on_one_line() -> None:
    table = make_table(("Job", "Error"), [("job_0123456789abcdef", "[red] what\nanother wrote " * 9)], elastic="Error")
    console = Console(width=40)
    with console.capture() as drawn:
        console.print(table)
    _, line, *rest = drawn.get().splitlines()
    assert rest == []
    assert line.startswith("job_0123456789abcdef  [red] what")
    assert len(line) <= 40


def test_every_lane_can_be_named() -> None:
    assert set(kinds_of(None)) == set(get_args(Kind)) == {KINDS[name] for name in LaneName}
    assert kinds_of(LaneName.WEBHOOK) == ("webhook",)


def test_the_bus_of_the_environment_wins_over_what_runs_here(tmp_path: Path) -> None:
    StateFolder(tmp_path).write_address(Address("http://127.0.0.1:1/v1", os.getpid(), "unix:///s?db=0"))
    here = {"ANTIPHON_STATE_DIR": str(tmp_path)}
    assert find_bus(here) == "unix:///s?db=0"
    assert find_bus(here | {"REDIS_URL": "redis://elsewhere/0"}) == "redis://elsewhere/0"


def test_a_platform_that_does_not_say_where_its_bus_is_counts_as_none(tmp_path: Path) -> None:
    StateFolder(tmp_path).write_address(Address("http://127.0.0.1:1/v1", os.getpid()))
    with pytest.raises(CommandFailed, match=r"^no platform is running here"):
        find_bus({"ANTIPHON_STATE_DIR": str(tmp_path)})
