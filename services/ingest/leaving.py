"""How the door closes: first it says that it is not ready, then nobody comes in any more, then the last ones leave."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from dataclasses import dataclass, field

from antiphon.stopping import StopRequest


@dataclass(frozen=True)
class Leaving:
    """The steps, in their order."""

    asked: StopRequest = field(default_factory=StopRequest)
    """The order to stop: not ready any more, but still open."""
    closed: asyncio.Event = field(default_factory=asyncio.Event)
    """Nobody comes in any more. What has no end of its own ends now."""

    @property
    def hurry(self) -> asyncio.Event:
        """What is left ends at once."""
        return self.asked.hurry

    async def pause(self, longest_s: float) -> None:
        """Wait, unless there is a hurry."""
        with suppress(TimeoutError):
            async with asyncio.timeout(longest_s):
                await self.hurry.wait()
