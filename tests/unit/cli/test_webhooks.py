"""`antiphon webhooks` where no platform is needed."""

from __future__ import annotations

from pathlib import Path

import pytest
from typer.testing import CliRunner

from antiphon.cli.app import app

pytestmark = pytest.mark.unit


def test_without_a_platform_it_says_how_to_start_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("ANTIPHON_BASE_URL", raising=False)
    monkeypatch.setenv("ANTIPHON_STATE_DIR", str(tmp_path))
    result = CliRunner().invoke(app, ["webhooks", "list"])
    assert result.exit_code == 1
    assert result.stdout == ""
    assert result.stderr.startswith("antiphon: no platform is running here")
    assert result.stderr.count("\n") == 1


def test_a_platform_that_does_not_answer_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ANTIPHON_BASE_URL", "http://127.0.0.1:9/v1")
    monkeypatch.setenv("ANTIPHON_API_KEY", "sk-test-0123456789")
    result = CliRunner().invoke(app, ["webhooks", "create", "https://example.com/hook"])
    assert result.exit_code == 1
    assert result.stderr.startswith("antiphon: nothing answers at http://127.0.0.1:9/v1")


def test_every_command_has_help() -> None:
    runner = CliRunner()
    listed = runner.invoke(app, ["webhooks", "-h"]).stdout
    for name in ("list", "create", "rotate", "test", "enable", "disable", "deliveries", "redeliver", "delete"):
        assert f"\n  {name} " in listed
        helped = runner.invoke(app, ["webhooks", name, "--help"])
        assert helped.exit_code == 0
        assert "--json" in helped.stdout
