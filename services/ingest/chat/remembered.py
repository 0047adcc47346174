"""Spoken answers that a later turn may refer to: `{"role": "assistant", "audio": {"id": "audio_…"}}`."""

from __future__ import annotations

import re
import secrets
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta

from antiphon.bus import Values
from antiphon.errors import NotFound
from antiphon.given import shortened

_ID = re.compile(r"audio_(?P<expires_at>[0-9a-f]{8})[0-9a-f]{24}")


class AudioNotFound(NotFound):
    """There was no answer with this audio, or it is somebody else's: nobody learns which."""

    code = "audio_not_found"

    def __init__(self, audio_id: str, *, param: str) -> None:
        super().__init__(
            f"Invalid '{param}': no audio found with id '{shortened(audio_id)}'. "
            "Only audio that the assistant has answered with can be referred to.",
            param=param,
        )


class AudioExpired(NotFound):
    """The audio can no longer be referred to."""

    code = "audio_expired"

    def __init__(self, audio_id: str, *, param: str) -> None:
        super().__init__(
            f"Invalid '{param}': the audio with id '{audio_id}' has expired. Send the transcript as 'content' instead.",
            param=param,
        )


@dataclass(frozen=True, slots=True)
class AudioId:
    """The name of a spoken answer, and the epoch second until which it may be referred to."""

    id: str
    expires_at: int


class RememberedAnswers:
    """The words of spoken answers. They lie on the bus, so that every replica knows them, and after a restart.

    An id tells when it expires, so that one that has expired is told from one that never was without keeping a thing.
    """

    def __init__(self, values: Values, ttl: timedelta, *, now_ms: Callable[[], int]) -> None:
        self._values = values
        self._ttl = ttl
        self._now_ms = now_ms

    def new_id(self, now_s: float) -> AudioId:
        """Return an id for an answer that begins at epoch second `now_s`."""
        expires_at = int(now_s + self._ttl.total_seconds())
        return AudioId(f"audio_{expires_at:08x}{secrets.token_hex(12)}", expires_at)

    async def remember(self, audio_id: str, transcript: str, *, tenant: str) -> None:
        """Keep what was said under an id that `new_id` gave. Raises `Unavailable`."""
        await self._values.put(_key(tenant, audio_id), transcript.encode(), self._ttl)

    async def recall(self, audio_id: str, *, tenant: str, param: str) -> str:
        """Return what was said. `param` is where the id was given.

        Raises `AudioNotFound`, `AudioExpired`, `Unavailable`.
        """
        match = _ID.fullmatch(audio_id)
        if match is None:
            raise AudioNotFound(audio_id, param=param)
        if int(match["expires_at"], 16) * 1000 <= self._now_ms():
            raise AudioExpired(audio_id, param=param)
        transcript = await self._values.get(_key(tenant, audio_id))
        if transcript is None:
            raise AudioNotFound(audio_id, param=param)
        return transcript.decode()


def _key(tenant: str, audio_id: str) -> str:
    return f"chat:audio:{tenant}:{audio_id}"
