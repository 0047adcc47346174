"""What one attempt at a recording took, as figures and as its span."""

from __future__ import annotations

import time
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING

from antiphon.telemetry.instruments import AUDIO_SECONDS, REAL_TIME_FACTOR
from antiphon.telemetry.stages import OpenStage, observe_stage, open_stage

if TYPE_CHECKING:
    from antiphon.models import Model
    from antiphon.recognition.driver import Turns
    from antiphon.recognition.engine import Task
    from antiphon.schemas import Priority


class Watch:
    """Watches an attempt that began at `began_s` on the monotonic clock, and goes on from `resumed_s` of the audio."""

    def __init__(self, task: Task, model: Model, *, began_s: float, resumed_s: float) -> None:
        self._task = task
        self._model = model
        self._began_s = began_s
        self._resumed_s = resumed_s
        self._heard_s = 0.0

    def recognising(self, asked: str, priority: Priority) -> AbstractContextManager[OpenStage]:
        """Return the stage of recognition; `asked` is the model's name as the caller has it."""
        return open_stage(
            "recognise",
            lane=self._task,
            gen_ai__operation__name=self._task,
            gen_ai__provider__name=self._model.engine,
            gen_ai__request__model=asked,
            gen_ai__response__model=self._model.name,
            antiphon__priority=priority,
            antiphon__resumed_s=round(self._resumed_s, 3),
        )

    def heard(self, seek_s: float, turns: Turns, recognising: OpenStage) -> None:
        """Note how far the attempt has come, whether or not that is the end."""
        self._heard_s = max(0.0, seek_s - self._resumed_s)
        AUDIO_SECONDS.labels(self._task, self._model.name).inc(self._heard_s)
        recognising.add(turns.engine_s)
        recognising.span.set_attribute("antiphon.wait_s", round(turns.waited_s, 6))
        recognising.span.set_attribute("antiphon.windows", turns.windows)
        observe_stage("wait", turns.waited_s, lane=self._task)

    def done(self, duration_s: float, recognising: OpenStage) -> None:
        """Note that the recording, so many seconds long, is done with."""
        recognising.span.set_attribute("antiphon.audio.duration_s", round(duration_s, 3))
        if self._heard_s:
            factor = (time.monotonic() - self._began_s) / self._heard_s
            REAL_TIME_FACTOR.labels(self._task, self._model.name).observe(factor)
