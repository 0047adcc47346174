"""hibari: speech in hundredths of a second; one American voice comes with the package."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import hibari
import numpy as np
from hibari.voices import ASSETS, VOICES

from antiphon.audio.samples import Samples
from services.synthesizer.engines.pace import Pace
from services.synthesizer.engines.pronunciation import Pronunciation, cut
from services.synthesizer.engines.session import open_session
from services.synthesizer.engines.sound import stretch, trim
from services.synthesizer.engines.synthesizer import Limits

MOST_PHONEMES = 400


class Hibari:
    """The bundled voice, and those others of the package's list whose files lie in `folder`. Downloads nothing."""

    rate: int = hibari.SAMPLE_RATE
    limits = Limits(sizes=(140,), packed=False)

    def __init__(self, folder: Path | None, *, pronunciation: Pronunciation) -> None:
        self._pronunciation = pronunciation
        self._models = {name: _load(name, path) for name, path in _files(folder)}

    def voices(self) -> tuple[str, ...]:
        """Return the names of the voices whose files are there."""
        return tuple(self._models)

    def speak(self, text: str, *, voice: str, speed: float) -> Iterator[Samples]:
        """Yield the sound of `text`, one array per call of the model."""
        model = self._models[voice]
        pace = Pace.of(speed)
        # The same text sounds the same: the noise in it is drawn from a fixed seed.
        noise = np.random.default_rng(0)
        for phonemes in cut(self._pronunciation.phonemes(text, british=VOICES[voice]["british"]), most=MOST_PHONEMES):
            sound = trim(model.from_ids(model.ids(phonemes), pace.model, noise), self.rate)
            if len(sound):
                yield stretch(sound, self.rate, speed=pace.stretch)


def _load(name: str, path: Path) -> hibari.Hibari:
    # One thread: a call takes about 10 ms, and more threads gain little.
    model = hibari.Hibari(name, model=str(path), threads=1)
    model.sess = open_session(path, threads=1)  # the package's own one grows with every new length of text
    return model


def _files(folder: Path | None) -> Iterator[tuple[str, Path]]:
    for name, entry in VOICES.items():
        if entry.get("bundled"):
            yield name, Path(ASSETS) / entry["file"]
        elif folder is not None and (folder / entry["file"]).is_file():
            yield name, folder / entry["file"]
