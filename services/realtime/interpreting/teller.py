"""What a step tells the client and has done, as the parts of a session put it together."""

from __future__ import annotations

from typing import Any

from antiphon.realtime.ids import Ids
from antiphon.schemas import ErrorInfo
from services.realtime.session.commands import Command
from services.realtime.session.machine import Effects


class Teller:
    """Gathers events and commands. `ids` says how many ids were given out before."""

    def __init__(self, session_id: str, ids: int = 0) -> None:
        self._ids = Ids(session_id, ids)
        self._effects = Effects()

    @property
    def ids(self) -> int:
        """How many ids have been given out."""
        return self._ids.made

    def tell(self, type: str, **fields: Any) -> None:
        """Tell the client."""
        self._effects.events.append({"type": type, "event_id": self._ids.next("event"), **fields})

    def complain(self, error: ErrorInfo, event_id: str | None = None) -> None:
        """Tell the client of an error; `event_id` is that of its event which led to it."""
        told = {"type": error.type, "code": error.code, "message": error.message, "param": error.param}
        self.tell("error", error={**told, "event_id": event_id})

    def order(self, command: Command) -> None:
        """Have something done."""
        self._effects.commands.append(command)

    def take(self) -> Effects:
        """Return what has been gathered, and begin anew."""
        effects, self._effects = self._effects, Effects()
        return effects
