"""What the driver itself keeps in the snapshot of a session, beside what the machine keeps."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Self

import orjson

from services.realtime.session.kept import known

FIELD = "driver"
BEGINNING = "0-0"


@dataclass(slots=True)
class Record:
    """All a successor needs to go on where this worker was at its last commit."""

    entry: str = BEGINNING
    """The last entry of the input that the snapshot accounts for."""
    ear: dict[str, Any] = field(default_factory=dict)
    """As `Ear.state` gives it."""
    began_ms: int = 0
    spoken_bytes: int = 0
    """Of sound that was sent, as PCM at 24 kHz."""
    responses: int = 0
    steady: int = 0
    """The last attempt at the job that lasted for a while."""
    ended: str | None = None
    """Why the session is over, if it is."""

    @classmethod
    def read(cls, snapshot: Mapping[str, bytes]) -> Self:
        """Return what a snapshot says."""
        return cls(**known(orjson.loads(snapshot[FIELD]), cls))

    def write(self) -> bytes:
        """Return it as the value of its field."""
        return orjson.dumps(asdict(self))
