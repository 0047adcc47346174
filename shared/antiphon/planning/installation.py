"""What a platform consists of: how many of each worker, on which processors."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from antiphon.planning.engine import Engine, Machine
from antiphon.planning.lane import Lane, Task, Worker

if TYPE_CHECKING:
    from collections.abc import Mapping

    from antiphon.planning.measured import Measured
    from antiphon.schemas import Kind

LANES: dict[str, Kind] = {"transcriber": "transcribe", "synthesizer": "synthesize", "responder": "respond"}
"""Workers that have an engine, and their lanes."""
WORKERS = {lane: worker for worker, lane in LANES.items()}


@dataclass(frozen=True)
class Installation:
    """Replicas of each worker.

    Attributes:
        replicas: by the name of the worker; those without are not there.
        together: processors that all of them share, on one machine; None for machines like the one that was measured,
            each with one worker on it.
        background: processors of the one machine that are used besides the engines.
    """

    replicas: Mapping[str, int] = field(default_factory=dict)
    together: float | None = None
    background: float = 0.0

    def build(self, measured: Measured) -> dict[Kind, Lane]:
        """Return the lanes with their workers, all of them idle. Raises `InvalidValue` for what was not measured."""
        shared: Machine[Task] | None = None
        if self.together is not None:
            shared = Machine(processors=self.together, background=self.background)
        lanes: dict[Kind, Lane] = {}
        for name, count in self.replicas.items():
            if (kind := LANES.get(name)) is None or not count:
                continue
            service = measured.service(kind)
            speed = service.speed()
            workers = []
            for _ in range(count):
                machine = shared or Machine(processors=float(measured.processors))
                engine: Engine[Task] = Engine(speed)
                bulk: Engine[Task] = Engine(speed, steps_back=True) if service.bulk_apart else engine
                machine.add(engine)
                if bulk is not engine:
                    machine.add(bulk)
                workers.append(Worker(service.slots, machine, engine, bulk))
            lanes[kind] = Lane(workers)
        return lanes
