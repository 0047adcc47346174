"""One typed function for each Lua script. All keys of a call share the lane's hash tag."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from importlib import resources
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Awaitable, Sequence

    from antiphon.bus.line import Argument
    from antiphon.bus.outbox import Outbox

_NAMES = (
    "admit",
    "allow",
    "append",
    "beat",
    "cancel",
    "charge",
    "commit",
    "enter",
    "fill",
    "finish",
    "hold",
    "join",
    "leave",
    "note",
    "occupy",
    "part",
    "recall",
    "reclaim",
    "release",
    "renew",
    "replay",
    "retry",
    "settle",
    "step",
    "take",
    "tend",
    "trim",
)


def _read(name: str) -> str:
    return resources.files("antiphon.bus").joinpath("lua", f"{name}.lua").read_text()


_SHARED = {"admit": ("waiting", "place"), "allow": ("level",), "charge": ("level",), "fill": ("waiting",)}
"""Functions that stand before a script which calls them."""

_SOURCES = {name: "".join(map(_read, (*_SHARED.get(name, ()), name))) for name in _NAMES}
_SHAS = {name: hashlib.sha1(source.encode(), usedforsecurity=False).hexdigest() for name, source in _SOURCES.items()}

SCRIPTS: dict[str, str] = {_SHAS[name]: source for name, source in _SOURCES.items()}
"""Source by SHA-1, for an `Outbox`."""


@dataclass(frozen=True, slots=True)
class Scripts:
    """The scripts over one outbox. Each call is one command; each raises `redis.RedisError` or `OSError`."""

    outbox: Outbox

    def run(self, name: str, keys: Sequence[str], *args: Argument) -> Any:
        """Queue a script; returns an awaitable of its reply."""
        return self.outbox.call("EVALSHA", _SHAS[name], len(keys), *keys, *args)

    def send(self, name: str, keys: Sequence[str], *args: Argument) -> None:
        """Queue a script whose reply nobody needs."""
        self.outbox.send("EVALSHA", _SHAS[name], len(keys), *keys, *args)

    def admit(
        self,
        keys: Sequence[str],
        *,
        group: str,
        limit: int,
        job_id: str,
        dedupe_s: int,
        expires_in_ms: int,
        rate: float,
        who: str,
        record_s: int,
        record: bytes,
        fields: Sequence[Argument],
    ) -> Awaitable[Sequence[bytes]]:
        """Put a job on its lane: `ok` with the entry, `full` with ms to wait (-1: unknown), `known` with an id.

        `who` means that the lane is full, and that an empty `who` does not say whether the caller has a place.

        Queued at once, like every `run`.
        """
        reply: Awaitable[Sequence[bytes]] = self.run(
            "admit",
            keys,
            group,
            limit,
            job_id,
            dedupe_s,
            expires_in_ms,
            rate,
            who,
            record_s,
            record,
            *fields,
        )
        return reply

    async def settle(
        self,
        keys: Sequence[str],
        *,
        group: str,
        consumer: str,
        entry: bytes,
        ours: bool,
        outcome: bytes,
        keep_s: int,
        job_id: str,
        replies: bool,
        streamed: bool,
        output_ttl_s: int,
        dead_limit: int,
        dead: bytes,
        event: bytes,
        status: str,
        attempts: int,
        finished_ms: int,
        tracked: bool,
        batch_event: bytes,
    ) -> int:
        """End a delivery. 1: this was the job's first settle, 2: it had a result already, 0: the delivery has ended.

        With `ours` it counts as ended, too, when a peer has taken it over.
        """
        reply: int = await self.run(
            "settle",
            keys,
            group,
            consumer,
            entry,
            int(ours),
            outcome,
            keep_s,
            job_id,
            int(replies),
            int(streamed),
            output_ttl_s,
            dead_limit,
            dead,
            event,
            status,
            attempts,
            finished_ms,
            int(tracked),
            batch_event,
        )
        return reply
