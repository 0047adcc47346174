"""Recordings that are said into a live session."""

from __future__ import annotations

import asyncio
import os
import time
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from antiphon.cli.app import app
from antiphon.cli.failure import CommandFailed
from antiphon.cli.talk_recording import pace, read_recordings
from antiphon.models import WeightStore
from antiphon.settings import default_cache_dir

pytestmark = pytest.mark.integration


@pytest.fixture(scope="module")
def clip() -> Path:
    cache = os.environ.get("ANTIPHON_CACHE_DIR")
    return WeightStore(Path(cache) if cache else default_cache_dir()).folder("speech-samples") / "en/hello_world.wav"


async def test_a_recording_is_said_at_the_pace_at_which_it_was_spoken(clip: Path) -> None:
    (recording,) = await read_recordings([clip])
    assert 0.5 < len(recording) / 48_000 < 5
    assert np.abs(np.frombuffer(recording, "<i2")).max() > 3_000
    frames: list[bytes] = []
    began = time.perf_counter()
    async for frame in pace(recording[:9_000]):
        frames.append(frame)
        if len(frames) == 11:
            break
    assert 0.4 <= time.perf_counter() - began < 2
    assert b"".join(frames) == recording[:9_000] + bytes(11 * 1_920 - 9_000)


async def test_a_file_that_is_no_recording_is_named(tmp_path: Path) -> None:
    path = tmp_path / "letter.wav"
    path.write_text("Dear Sir")
    with pytest.raises(CommandFailed, match=rf"^{path}: "):
        await read_recordings([path])


async def test_a_platform_that_does_not_answer_is_named(clip: Path) -> None:
    environ = {"ANTIPHON_API_KEY": "sk-test-0123456789"}
    words = ["talk", "-f", str(clip), "--base-url", "http://127.0.0.1:9/v1"]
    said = await asyncio.to_thread(CliRunner().invoke, app, words, env=environ)
    assert said.exit_code == 1
    *_, last = said.stderr.splitlines()
    assert last.startswith("antiphon: no conversation can be had at http://127.0.0.1:9/v1")
