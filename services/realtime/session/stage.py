"""Where the parts of a session meet: its state, the moment, and what the step leads to."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from antiphon.realtime.ids import Ids
from antiphon.schemas import ErrorInfo
from services.realtime.session.commands import Command
from services.realtime.session.facts import Facts
from services.realtime.session.happenings import POSITIONS_PER_MS
from services.realtime.session.machine import Effects
from services.realtime.session.state import Core, Item, Response


def ms_of(position: int) -> int:
    """Return a position in milliseconds."""
    return position // POSITIONS_PER_MS


class Stage:
    """The state of one session, and how its parts speak and act."""

    def __init__(self, core: Core, items: dict[str, Item], facts: Facts) -> None:
        self.core = core
        self.items = items
        self.facts = facts
        self.effects = Effects()
        self.now_ms = core.began_ms
        self.changed: set[str] = set()
        self._ids = Ids(facts.session_id, core.ids)

    def new_id(self, prefix: str) -> str:
        """Return an id that no other thing of this session has."""
        made = self._ids.next(prefix)
        self.core.ids = self._ids.made
        return made

    def emit(self, kind: str, **fields: Any) -> None:
        """Tell the client."""
        self.effects.events.append({"type": kind, "event_id": self.new_id("event"), **fields})

    def order(self, command: Command) -> None:
        """Have something done."""
        self.effects.commands.append(command)

    def complain(self, error: ErrorInfo, event_id: str | None = None) -> None:
        """Tell the client of an error; the session goes on."""
        told = {
            "type": error.type,
            "code": error.code,
            "message": error.message,
            "param": error.param,
            "event_id": event_id,
        }
        self.emit("error", error=told)

    def touch(self, item_id: str) -> Item:
        """Return an item that is about to change."""
        self.changed.add(item_id)
        return self.items[item_id]

    def response_items(self, response: Response) -> Iterator[Item]:
        """Yield the items that a response has made, in order."""
        for output in sorted(response.outputs, key=lambda output: output.index):
            if output.begun:
                yield self.made(response, output.item_id)

    def made(self, response: Response, item_id: str) -> Item:
        """Return an item that a response has made, which is about to change."""
        return self.touch(item_id) if response.in_conversation else response.made[item_id]

    @property
    def active(self) -> Response | None:
        """The response to the conversation that is under way."""
        return next((response for response in self.core.responses.values() if response.in_conversation), None)
