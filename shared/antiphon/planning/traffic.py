"""The load that a platform is planned for, by kind of request. Each may name what 95 % of its callers shall see."""

from __future__ import annotations

import tomllib
from random import Random
from typing import TYPE_CHECKING, Any

from pydantic import Field, ValidationError

from antiphon.errors import InvalidValue
from antiphon.planning.errands import lognormal
from antiphon.planning.measured import Figures

if TYPE_CHECKING:
    from pathlib import Path


class Sizes(Figures):
    """How long recordings are: those of a list, each as often, or spread around a mean."""

    mean_s: float = Field(default=30.0, gt=0)
    spread: float = Field(default=1.0, ge=0)
    """Standard deviation divided by the mean."""
    lengths_s: tuple[float, ...] = ()

    def draw(self, rng: Random) -> float:
        """Return the seconds of a recording."""
        return rng.choice(self.lengths_s) if self.lengths_s else lognormal(rng, mean=self.mean_s, spread=self.spread)

    @property
    def mean(self) -> float:
        """Seconds of a recording, in the mean."""
        return sum(self.lengths_s) / len(self.lengths_s) if self.lengths_s else self.mean_s


class Files(Sizes):
    """Recordings whose callers wait for the words."""

    per_hour: float = Field(gt=0)
    p95_s: float | None = Field(default=None, gt=0)


class Jobs(Sizes):
    """Recordings whose callers do not wait: priority `bulk`."""

    per_hour: float = Field(gt=0)
    batch: int = Field(default=1, ge=1)
    """That come together."""
    p95_s: float | None = Field(default=None, gt=0)


class Speech(Figures):
    """Texts that are spoken."""

    per_minute: float = Field(gt=0)
    characters: float = Field(default=200.0, gt=0)
    spread: float = Field(default=0.5, ge=0)
    lengths: tuple[float, ...] = ()
    p95_first_s: float | None = Field(default=None, gt=0)
    """Until the first sound."""

    def draw(self, rng: Random) -> float:
        """Return the characters of a text."""
        return rng.choice(self.lengths) if self.lengths else lognormal(rng, mean=self.characters, spread=self.spread)


class Answers(Figures):
    """What is asked aloud and answered aloud."""

    question_s: float = Field(default=4.0, gt=0)
    questions_s: tuple[float, ...] = ()
    """Lengths of questions, each as often, instead."""
    tokens: float = Field(default=40.0, gt=0)
    """Of an answer."""
    sentence_tokens: float = Field(default=15.0, gt=0)
    """Of its first sentence."""
    p95_first_s: float | None = Field(default=None, gt=0)
    """Until the first sound of the answer."""

    def draw(self, rng: Random) -> float:
        """Return the seconds of a question."""
        return rng.choice(self.questions_s) if self.questions_s else self.question_s


class Chat(Answers):
    """Questions by chat completions."""

    per_minute: float = Field(gt=0)


class Sessions(Answers):
    """Live sessions that are held at a time."""

    held: float = Field(gt=0)
    pause_s: float = Field(default=10.0, gt=0)
    """From the end of an answer to the end of the next question: listening, thinking, speaking."""


class Load(Figures):
    """All of it, at the peak."""

    files: Files | None = None
    speech: Speech | None = None
    chat: Chat | None = None
    sessions: Sessions | None = None
    jobs: Jobs | None = None

    def times(self, factor: float) -> Load:
        """Return the load with so many times the callers."""
        rates = {"files": "per_hour", "jobs": "per_hour", "speech": "per_minute", "chat": "per_minute"}
        rates["sessions"] = "held"
        grown = {
            name: part.model_copy(update={rate: getattr(part, rate) * factor})
            for name, rate in rates.items()
            if (part := getattr(self, name)) is not None
        }
        return self.model_copy(update=grown)

    @property
    def empty(self) -> bool:
        """Tell whether nobody comes."""
        return not any((self.files, self.speech, self.chat, self.sessions, self.jobs))


def read_load(path: Path) -> dict[str, Any]:
    """Read a TOML file: a table for each kind, and what else a plan may be told. Raises `InvalidValue`."""
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise InvalidValue(f"{path}: {error.strerror}", param="load") from None
    except (UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise InvalidValue(f"{path}: no TOML: {error}", param="load") from None


def load_of(tables: object) -> Load:
    """Check a load. Raises `InvalidValue` that names the field."""
    try:
        return Load.model_validate(tables)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        raise InvalidValue(f"load.{'.'.join(map(str, first['loc']))}: {first['msg']}", param="load") from None
