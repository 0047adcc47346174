"""`antiphon models` answers in lines that help."""

from __future__ import annotations

from pathlib import Path

import pytest
from typer.testing import CliRunner

from antiphon.cli.models import app
from antiphon.models import Catalogue

pytestmark = pytest.mark.unit


@pytest.fixture(autouse=True)
def empty_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("ANTIPHON_CACHE_DIR", str(tmp_path / "cache"))
    monkeypatch.delenv("ANTIPHON_MODELS_FILE", raising=False)
    return tmp_path / "cache"


def test_the_list_shows_every_name_whole_and_what_is_to_be_pulled() -> None:
    result = CliRunner().invoke(app, ["list"])
    assert result.exit_code == 0
    for public in Catalogue.load().public():
        assert public.id in result.output
    assert "to be pulled" in result.output


def test_the_list_shows_deployments_and_local_folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    override = tmp_path / "models.toml"
    override.write_text('[models.whisper-base]\nfolder = "w"\n[deployments]\n"my whisper" = "whisper-1"\n')
    monkeypatch.setenv("ANTIPHON_MODELS_FILE", str(override))
    output = CliRunner().invoke(app, ["list"]).output
    assert "my whisper" in output
    assert "w is not there" in output


def test_a_bad_catalogue_is_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ANTIPHON_MODELS_FILE", str(tmp_path / "none.toml"))
    result = CliRunner().invoke(app, ["list"])
    assert result.exit_code == 1
    assert result.stderr == f"antiphon: models file {tmp_path / 'none.toml'}: No such file or directory\n"


def test_the_path_of_missing_weights_names_the_command_that_gets_them() -> None:
    result = CliRunner().invoke(app, ["path", "tts-1"])
    assert result.exit_code == 1
    assert "antiphon models pull kokoro" in result.stderr


def test_the_path_of_a_model_without_weights_is_explained() -> None:
    result = CliRunner().invoke(app, ["path", "hibari"])
    assert result.exit_code == 1
    assert "come with its engine" in result.stderr


def test_an_unknown_name_is_told_with_the_known_ones() -> None:
    result = CliRunner().invoke(app, ["pull", "whisper-huge"])
    assert result.exit_code == 1
    assert "whisper-base" in result.stderr


def test_an_empty_cache_has_nothing_to_verify() -> None:
    result = CliRunner().invoke(app, ["verify"])
    assert result.exit_code == 0
    assert "antiphon models pull" in result.output


def test_what_is_missing_ends_with_an_exit_code() -> None:
    result = CliRunner().invoke(app, ["verify", "silero-vad"])
    assert result.exit_code == 1
    assert "silero-vad/silero_vad.onnx is missing" in result.output
