"""What was measured of a platform, one kind of work at a time: the figures that a plan is made from.

`python -m tests.load` writes them, as `measured` in its report; those of a reference machine come with this package.
"""

from __future__ import annotations

import json
from functools import cache
from importlib import resources
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from antiphon.errors import InvalidValue
from antiphon.planning.curves import Curve
from antiphon.planning.engine import Speed
from antiphon.schemas import Kind

if TYPE_CHECKING:
    from pathlib import Path


class Figures(BaseModel):
    """Read from JSON; an unknown name is a mistake."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Point(Figures):
    """So many jobs of the same size at a time on one worker that had the machine to itself."""

    in_flight: int = Field(ge=1)
    jobs_per_s: float = Field(gt=0)
    processors: float = Field(ge=0)
    """That the worker used, with the processes that are its own."""


class Service(Figures):
    """One lane's worker. A job alone takes `turns` times `fixed_s` and `units` times `unit_s`."""

    unit: str
    """What the size of a job is counted in."""
    fixed_s: float = Field(ge=0)
    unit_s: float = Field(ge=0)
    turn_units: float | None = Field(default=None, gt=0)
    """Size after which another job may have its turn; null for none before the end."""
    first_units: float = Field(default=0.0, ge=0)
    """Size after which there is something for the caller; 0 for all of it."""
    points: tuple[Point, ...] = Field(min_length=1)
    """Rising in `in_flight`, from 1."""
    seats: int = Field(ge=1)
    """Jobs that the engine serves side by side."""
    slots: int = Field(default=16, ge=1)
    """Jobs that the worker holds: `ANTIPHON_CONCURRENCY`."""
    bulk_apart: bool = False
    """Whether bulk jobs have an engine of their own that gives way."""
    memory_mib: float = Field(default=0.0, ge=0)

    def turns_s(self, units: float) -> tuple[float, ...]:
        """Return the seconds of each turn of a job of this size that is alone."""
        turns = max(1, -(-round(units * 1000) // round(self.turn_units * 1000))) if self.turn_units else 1
        return (self.fixed_s + units * self.unit_s / turns,) * turns

    def parts_s(self, units: float) -> tuple[float, float]:
        """Return the seconds to the first output, and those of the rest."""
        whole = sum(self.turns_s(units))
        first = min(whole, self.fixed_s + min(units, self.first_units or units) * self.unit_s)
        return first, whole - first

    def speed(self) -> Speed:
        """Return how fast the engine is with so many jobs, and what it uses."""
        alone = self.points[0].jobs_per_s
        return Speed(
            seats=self.seats,
            speed=Curve([(point.in_flight, point.jobs_per_s / alone) for point in self.points]),
            processors=Curve([(point.in_flight, point.processors) for point in self.points]),
        )

    @property
    def most_processors(self) -> float:
        """Processors that a worker uses when it has most to do."""
        return max(point.processors for point in self.points)


class Share(Figures):
    """What a process that has no lane of its own needs."""

    processors_per_request: float = Field(default=0.0, ge=0)
    """Processor seconds."""
    processors_per_session: float = Field(default=0.0, ge=0)
    """Processors, for each live session that hears sound all the time."""
    memory_mib: float = Field(default=0.0, ge=0)


class Kept(Figures):
    """Keys that a request leaves in Redis after its end."""

    name: str
    count: float = Field(ge=0)
    bytes: float = Field(ge=0)
    """Of one key."""
    ttl_s: float = Field(ge=0)


class Talk(Figures):
    """How long answers are, for what is spoken while it is being written."""

    characters_per_token: float = Field(gt=0)
    silence_s: float = Field(default=0.5, ge=0)
    """That ends a turn of a live session."""
    early_s: float = Field(default=0.1, ge=0)
    """Silence after which the recogniser begins."""


class Measured(Figures):
    """All of it."""

    command: str
    machine: str
    processors: int = Field(ge=1)
    services: dict[Kind, Service]
    door: Share
    realtime: Share
    server: Share
    talk: Talk
    kept: dict[str, tuple[Kept, ...]] = {}
    """By kind of request."""
    session_bytes: float = Field(default=0.0, ge=0)
    """In Redis, of a live session."""

    def service(self, kind: Kind) -> Service:
        """Return a lane's figures. Raises `InvalidValue` where it was not measured."""
        if (service := self.services.get(kind)) is None:
            raise InvalidValue(f"nothing was measured of the lane {kind}: the load must name it", param="measured")
        return service


def read_measured(path: Path) -> Measured:
    """Read the figures of a file, or of the report they are in. Raises `InvalidValue`."""
    try:
        document: Any = json.loads(path.read_bytes())
    except OSError as error:
        raise InvalidValue(f"{path}: {error.strerror}", param="measured") from None
    except ValueError as error:
        raise InvalidValue(f"{path}: no JSON: {error}", param="measured") from None
    if isinstance(document, dict) and "kinds" in document:
        document = document.get("measured")
        if document is None:
            raise InvalidValue(f"{path}: this run measured no work by itself: run it with ALONE", param="measured")
    return _validated(document, str(path))


@cache
def reference() -> Measured:
    """Return the figures of the reference machine. Raises `InvalidValue`."""
    text = resources.files("antiphon.planning").joinpath("reference.json").read_text(encoding="utf-8")
    return _validated(json.loads(text), "reference.json")


def _validated(document: object, name: str) -> Measured:
    try:
        return Measured.model_validate(document)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        place = ".".join(str(part) for part in first["loc"])
        raise InvalidValue(f"{name}: {place}: {first['msg']}", param="measured") from None
