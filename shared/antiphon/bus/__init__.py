"""The bus: jobs, leases, outcomes and streamed output on Redis Streams. Nobody else imports faststream or redis."""

from antiphon.bus.bus import Bus, LaneStatus
from antiphon.bus.caller import Call, Caller
from antiphon.bus.keys import LaneKeys
from antiphon.bus.replies import OutputEvent
from antiphon.bus.work import Handler, Work

__all__ = ["Bus", "Call", "Caller", "Handler", "LaneKeys", "LaneStatus", "OutputEvent", "Work"]
