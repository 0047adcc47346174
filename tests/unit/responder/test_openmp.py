"""A machine without OpenMP: the copy that another package brings is good enough."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from services.responder.engines import openmp

pytestmark = pytest.mark.unit


def test_a_system_with_the_library_is_left_as_it_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(openmp, "is_installed", lambda: True)
    assert openmp.with_openmp({"PATH": "/bin"}, tmp_path) == {"PATH": "/bin"}
    assert not list(tmp_path.iterdir())


def test_a_model_is_computed_with_the_copy_of_another_package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(openmp, "is_installed", lambda: False)
    environment = openmp.with_openmp({"PATH": "/bin"}, tmp_path)
    script = "import xllamacpp; print(open('/proc/self/maps').read())"
    maps = subprocess.run(
        [sys.executable, "-P", "-c", script], env=environment, capture_output=True, text=True, check=True
    ).stdout
    copy = openmp.bundled_copy()
    assert copy is not None
    assert str(copy.resolve()) in maps
    assert "/libgomp.so.1" not in maps
