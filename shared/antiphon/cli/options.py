"""Options that several commands for operators share."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

import typer

from antiphon.schemas import Kind


class LaneName(StrEnum):
    """A kind of work."""

    TRANSCRIBE = "transcribe"
    TRANSLATE = "translate"
    SYNTHESIZE = "synthesize"
    RESPOND = "respond"
    REALTIME = "realtime"
    WEBHOOK = "webhook"


KINDS: dict[LaneName, Kind] = {
    LaneName.TRANSCRIBE: "transcribe",
    LaneName.TRANSLATE: "translate",
    LaneName.SYNTHESIZE: "synthesize",
    LaneName.RESPOND: "respond",
    LaneName.REALTIME: "realtime",
    LaneName.WEBHOOK: "webhook",
}

Lane = Annotated[LaneName | None, typer.Option("--lane", "-l", help="Only this lane; else all of them.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON document.")]
Yes = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")]


def kinds_of(lane: LaneName | None) -> tuple[Kind, ...]:
    """Return the lane that was named, else all."""
    return tuple(KINDS.values()) if lane is None else (KINDS[lane],)
