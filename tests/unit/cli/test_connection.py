"""Which platform a command talks to, and what it says when it cannot."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from antiphon.cli.connection import Connection, describe_refusal, find_connection
from antiphon.cli.failure import CommandFailed
from antiphon.supervisor.state import Address, StateFolder

pytestmark = pytest.mark.unit


@pytest.fixture
def state(tmp_path: Path) -> StateFolder:
    return StateFolder(tmp_path)


def test_the_environment_wins_over_what_runs_here(state: StateFolder) -> None:
    state.write_address(Address("http://127.0.0.1:1/v1", os.getpid()))
    environ = {
        "ANTIPHON_STATE_DIR": str(state.root),
        "ANTIPHON_BASE_URL": "https://elsewhere/v1",
        "ANTIPHON_API_KEY": "k",
    }
    assert find_connection(environ) == Connection("https://elsewhere/v1", "k")


def test_a_platform_of_this_machine_is_found_with_its_key(state: StateFolder) -> None:
    state.write_address(Address("http://127.0.0.1:1/v1", os.getpid()))
    key = state.ensure_api_key()
    assert find_connection({"ANTIPHON_STATE_DIR": str(state.root)}) == Connection("http://127.0.0.1:1/v1", key)


def test_the_keys_it_was_started_with_open_it_too(state: StateFolder) -> None:
    state.write_address(Address("http://127.0.0.1:1/v1", os.getpid()))
    environ = {"ANTIPHON_STATE_DIR": str(state.root), "ANTIPHON_API_KEYS": " one , two"}
    assert find_connection(environ).api_key == "one"


def test_the_address_of_a_platform_that_died_is_not_used(state: StateFolder) -> None:
    pid = os.fork()
    if pid == 0:
        os._exit(0)
    os.waitpid(pid, 0)
    state.write_address(Address("http://127.0.0.1:1/v1", pid))
    with pytest.raises(CommandFailed, match=r"^no platform is running here: start one with `antiphon up`"):
        find_connection({"ANTIPHON_STATE_DIR": str(state.root)})


def test_a_missing_key_is_named(state: StateFolder) -> None:
    environ = {"ANTIPHON_STATE_DIR": str(state.root), "ANTIPHON_BASE_URL": "https://elsewhere/v1"}
    with pytest.raises(CommandFailed, match=r"^no key for https://elsewhere/v1: set ANTIPHON_API_KEY$"):
        find_connection(environ)


def test_the_key_is_made_once_and_is_private(state: StateFolder) -> None:
    key = state.ensure_api_key()
    assert state.ensure_api_key() == key
    assert (state.root / "api-key").stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (b'{"error": {"message": "Too short."}}', "Too short. (HTTP 400)"),
        (b"<html>gateway</html>", "<html>gateway</html> (HTTP 400)"),
        (b"", "no reason given (HTTP 400)"),
        (b"[]", "[] (HTTP 400)"),
    ],
)
def test_a_refusal_is_told_in_one_line(body: bytes, said: str) -> None:
    assert describe_refusal(400, body) == said
