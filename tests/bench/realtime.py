"""Live sessions: what listening costs, how long an answer takes and what of that is ours, and words heard live."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.bench import realtime_listening, realtime_turns, realtime_words
from tests.bench.chat_bare import BareEngine
from tests.bench.clips import weights
from tests.bench.platform import platform

if TYPE_CHECKING:
    from pathlib import Path

    from tests.bench.figures import Figure

_WEIGHTS = "qwen2.5-coder-0.5b"
_LISTENERS = {"transcriber": 0, "translator": 0, "synthesizer": 0, "responder": 0, "webhooks": 0, "realtime": 2}
_TALKERS = {"transcriber": 1, "translator": 0, "synthesizer": 1, "responder": 1, "webhooks": 0, "realtime": 1}


async def measure(folder: Path, *, quick: bool) -> list[Figure]:
    """Return the figures, on platforms started for them in `folder`."""
    folder.mkdir(parents=True)
    async with platform(folder / "listening", workers=_LISTENERS) as door:
        figures = await realtime_listening.measure(door, quick=quick)
    catalogue = folder / "models.toml"
    catalogue.write_text(
        f'[models.{realtime_turns.MODEL}]\nengine = "llama"\nweights = "{_WEIGHTS}"\nkinds = ["respond"]\n'
        f'spoken_by = "hibari"\n\n[defaults]\nrespond = "{realtime_turns.MODEL}"\n'
    )
    environment = {"ANTIPHON_MODELS_FILE": str(catalogue)}
    with BareEngine.start(weights().folder(_WEIGHTS)) as bare:
        async with platform(folder / "talking", workers=_TALKERS, environment=environment) as door:
            figures += await realtime_turns.measure(door, bare, quick=quick)
            figures += await realtime_words.measure(door, quick=quick)
    return figures
