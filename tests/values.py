"""Small payloads in memory, where a server would prove nothing more."""

from __future__ import annotations

from datetime import timedelta


class Values:
    """A store of values that forgets nothing."""

    def __init__(self) -> None:
        self._values: dict[str, bytes] = {}

    async def put(self, key: str, data: bytes, ttl: timedelta) -> None:
        self._values[key] = data

    async def append(self, key: str, data: bytes, ttl: timedelta) -> None:
        self._values[key] = self._values.get(key, b"") + data

    async def get(self, key: str) -> bytes | None:
        return self._values.get(key)

    async def drop(self, key: str) -> None:
        self._values.pop(key, None)
