"""The bus: jobs, leases, outcomes and streamed output on Redis Streams. Nobody else imports faststream or redis."""

from antiphon.bus.allowances import Allowances, Level, Limits, Shortage, Standing
from antiphon.bus.bus import Bus
from antiphon.bus.caller import Admitted, Call, Caller
from antiphon.bus.dead import DeadLetter, DeadLetters
from antiphon.bus.events import Announcement, EventReader
from antiphon.bus.following import FollowedEvent
from antiphon.bus.index import Index
from antiphon.bus.keys import LaneKeys
from antiphon.bus.lanes import JobView, LaneView
from antiphon.bus.policy import RetryPolicy
from antiphon.bus.registry import Journal, Registry
from antiphon.bus.replies import OutputEvent
from antiphon.bus.session_door import SessionDoor, SessionLine
from antiphon.bus.session_host import HeldSession, SessionHost
from antiphon.bus.sessions import InputKind, OutputKind, SessionInput, SessionLost, SessionOutput
from antiphon.bus.settlement import Settled
from antiphon.bus.values import Values
from antiphon.bus.work import GivenUp, Handler, Postponed, Work

__all__ = [
    "Admitted",
    "Allowances",
    "Announcement",
    "Bus",
    "Call",
    "Caller",
    "DeadLetter",
    "DeadLetters",
    "EventReader",
    "FollowedEvent",
    "GivenUp",
    "Handler",
    "HeldSession",
    "Index",
    "InputKind",
    "JobView",
    "Journal",
    "LaneKeys",
    "LaneView",
    "Level",
    "Limits",
    "OutputEvent",
    "OutputKind",
    "Postponed",
    "Registry",
    "RetryPolicy",
    "SessionDoor",
    "SessionHost",
    "SessionInput",
    "SessionLine",
    "SessionLost",
    "SessionOutput",
    "Settled",
    "Shortage",
    "Standing",
    "Values",
    "Work",
]
