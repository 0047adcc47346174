"""What every schema shares: immutability, tolerance of unknown fields, names of kinds of work."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict

Kind = Literal["transcribe", "translate", "synthesize", "respond", "realtime", "webhook"]
"""A kind of work; the name of its lane."""

Priority = Literal["hi", "std", "bulk"]
"""Realtime turns, waiting HTTP callers, batch: in the order in which workers take them."""

PRIORITIES: tuple[Priority, ...] = ("hi", "std", "bulk")


def lowered(priority: Priority, ceiling: Priority) -> Priority:
    """Return a priority, or the highest that is allowed where that is lower.

    >>> lowered("std", "bulk"), lowered("bulk", "std")
    ('bulk', 'bulk')
    """
    return max(priority, ceiling, key=PRIORITIES.index)


class Schema(BaseModel):
    """Immutable; ignores fields it does not know, so that old readers accept newer writers."""

    model_config = ConfigDict(frozen=True, extra="ignore")
