"""Which weights a platform does not start without."""

from __future__ import annotations

from pathlib import Path

import pytest

from antiphon.cli.weights import require_default_weights
from antiphon.errors import WeightsMissing
from antiphon.supervisor.plan import lanes_of
from antiphon.supervisor.settings import PlatformSettings

pytestmark = pytest.mark.unit


def test_a_language_model_that_is_missing_is_named(tmp_path: Path) -> None:
    with pytest.raises(WeightsMissing, match=r"qwen2\.5-coder-1\.5b"):
        require_default_weights({"ANTIPHON_CACHE_DIR": str(tmp_path)}, kinds=["respond"])


def test_only_the_weights_of_work_that_is_done_here_are_needed(tmp_path: Path) -> None:
    settings = PlatformSettings(transcribers=0, translators=0, synthesizers=0, responders=0)
    require_default_weights({"ANTIPHON_CACHE_DIR": str(tmp_path)}, kinds=lanes_of(settings))


def test_a_language_model_elsewhere_needs_no_weights(tmp_path: Path) -> None:
    catalogue = tmp_path / "models.toml"
    catalogue.write_text("""
        [defaults]
        respond = "elsewhere"
        [models.elsewhere]
        engine = "upstream"
        kinds = ["respond"]
        options = { base_url = "http://127.0.0.1:8001/v1" }
    """)
    environ = {"ANTIPHON_CACHE_DIR": str(tmp_path), "ANTIPHON_MODELS_FILE": str(catalogue)}
    require_default_weights(environ, kinds=["respond"])
