"""Decoders that stay warm for a module, and recordings of speech where they are at hand."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest
import pytest_asyncio

from antiphon.audio.decode import DecodeLimits, DecoderPool
from antiphon.audio.vad import VoiceModel
from antiphon.models.store import WeightStore
from antiphon.settings import default_cache_dir

Keep = Callable[[bytes], Path]


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def pool() -> AsyncIterator[DecoderPool]:
    async with DecoderPool(DecodeLimits(max_s=600), size=2) as pool:
        await pool.warm()
        yield pool


@pytest.fixture
def keep(tmp_path: Path) -> Keep:
    """Write bytes to a file without a telling name."""

    def write(data: bytes) -> Path:
        path = tmp_path / "upload"
        path.write_bytes(data)
        return path

    return write


@pytest.fixture(scope="session")
def speech() -> Path:
    """The folder of recordings beside the checkout."""
    folder = Path(__file__).parents[4] / "shared" / "speech"
    if not folder.is_dir():
        pytest.skip("the recordings of speech are not beside the checkout")
    return folder


@pytest.fixture(scope="session")
def voice_model() -> VoiceModel:
    cache_dir = Path(os.environ.get("ANTIPHON_CACHE_DIR") or default_cache_dir())
    return VoiceModel(WeightStore(cache_dir).folder("silero-vad"))
