"""Small payloads in memory, where a server would prove nothing more."""

from __future__ import annotations

from datetime import timedelta


class Values:
    """A store of values that forgets nothing."""

    def __init__(self) -> None:
        self.values: dict[str, bytes] = {}

    async def put(self, key: str, data: bytes, ttl: timedelta) -> None:
        self.values[key] = data

    async def append(self, key: str, data: bytes, ttl: timedelta) -> None:
        self.values[key] = self.values.get(key, b"") + data

    async def get(self, key: str) -> bytes | None:
        return self.values.get(key)

    async def drop(self, key: str) -> None:
        self.values.pop(key, None)
