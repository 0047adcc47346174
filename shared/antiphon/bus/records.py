"""What is kept about tracked jobs, and the results of all."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import orjson
from redis.exceptions import RedisError

from antiphon.bus.connection import hash_of, scored_of, unavailable
from antiphon.bus.keys import LaneKeys
from antiphon.schemas import JOB_SCHEMAS, JobRecord, JobRequest, Kind, Outcome, Progress, State

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from antiphon.bus.outbox import Outbox

LISTED: tuple[Kind, ...] = tuple(JOB_SCHEMAS)
"""Lanes whose jobs may be tracked."""

_PAGE = 100
_Bound = tuple[int | None, str | None]
"""Score and id of a job in a listing, if there is one."""


class Records:
    """Reads and deletes records. Every method raises `Unavailable` when the bus is away."""

    def __init__(self, outbox: Outbox) -> None:
        self._outbox = outbox

    async def find(self, job_id: str, *, tenant: str) -> JobRecord | None:
        """Return a tenant's job with its outcome, on whichever lane it is."""
        for kind, fields in zip(LISTED, await self._read([(kind, job_id) for kind in LISTED]), strict=True):
            if fields and (record := _record(kind, fields)).tenant == tenant:
                outcome = await self.outcome(kind, job_id)
                return record if outcome is None else _ended(record, outcome)
        return None

    async def page(
        self,
        tenant: str,
        *,
        kinds: Sequence[Kind] | None = None,
        states: Collection[State] | None = None,
        before: str | None = None,
        after: str | None = None,
        limit: int,
    ) -> list[JobRecord]:
        """Return up to `limit` of a tenant's jobs, the newest first, without outcomes.

        `before` and `after` are ids: only jobs older, or newer, than that one. With `after` alone those next to it.
        """
        lanes = tuple(kinds) if kinds is not None else LISTED
        found: list[tuple[int, JobRecord]] = []
        for kind in lanes:
            found += await self._page_of_lane(
                kind, tenant, states=states, before=before, after=after, limit=limit, forward=bool(after and not before)
            )
        forward = bool(after and not before)
        found.sort(key=lambda each: (each[0], each[1].id), reverse=not forward)
        page = [record for _, record in found[:limit]]
        return page[::-1] if forward else page

    async def drop(self, record: JobRecord) -> None:
        """Delete a record, the result and the output. A job that has not ended goes on: cancel it first."""
        keys = LaneKeys(record.kind)
        names = (keys.record(record.id), keys.result(record.id), keys.output(record.id), keys.checkpoint(record.id))
        try:
            forgotten = self._outbox.call("UNLINK", *names)
            await self._outbox.call("ZREM", keys.listing(record.tenant), record.id)
            await forgotten
        except (RedisError, OSError) as error:
            raise unavailable(error) from error

    async def outcome(self, kind: Kind, job_id: str) -> Outcome | None:
        """Return how a job ended, if it has, tracked or not."""
        (outcome,) = await self.outcomes(kind, [job_id])
        return outcome

    async def outcomes(self, kind: Kind, job_ids: Sequence[str]) -> list[Outcome | None]:
        """Return how jobs of one lane ended, in the order asked for."""
        keys = LaneKeys(kind)
        found: list[Outcome | None] = []
        for start in range(0, len(job_ids), _PAGE):
            names = [keys.result(job_id) for job_id in job_ids[start : start + _PAGE]]
            try:
                values: list[bytes | None] = await self._outbox.call("MGET", *names)
            except (RedisError, OSError) as error:
                raise unavailable(error) from error
            found += [None if value is None else Outcome.model_validate_json(value) for value in values]
        return found

    async def _page_of_lane(
        self,
        kind: Kind,
        tenant: str,
        *,
        states: Collection[State] | None,
        before: str | None,
        after: str | None,
        limit: int,
        forward: bool,
    ) -> list[tuple[int, JobRecord]]:
        listing = LaneKeys(kind).listing(tenant)
        oldest, newest = await self._scores(tenant, after), await self._scores(tenant, before)
        low, high = oldest if oldest is not None else "-inf", newest if newest is not None else "+inf"
        found: list[tuple[int, JobRecord]] = []
        offset = 0
        while len(found) < limit:
            command = ("ZRANGEBYSCORE", listing, low, high) if forward else ("ZREVRANGEBYSCORE", listing, high, low)
            try:
                flat = await self._outbox.call(*command, "WITHSCORES", "LIMIT", offset, _PAGE)
            except (RedisError, OSError) as error:
                raise unavailable(error) from error
            members = _scored(flat)
            gone: list[str] = []
            rows = await self._read([(kind, job_id) for job_id, _ in members])
            for (job_id, score), fields in zip(members, rows, strict=True):
                if not fields:
                    gone.append(job_id)
                elif _between((score, job_id), (oldest, after), (newest, before)):
                    record = _record(kind, fields)
                    if states is None or record.state in states:
                        found.append((score, record))
            if gone:
                self._outbox.send("ZREM", listing, *gone)
            if len(members) < _PAGE:
                break
            offset += _PAGE - len(gone)
        return found[:limit]

    async def _scores(self, tenant: str, job_id: str | None) -> int | None:
        if job_id is None:
            return None
        try:
            scores = [self._outbox.call("ZSCORE", LaneKeys(kind).listing(tenant), job_id) for kind in LISTED]
            for score in scores:
                if (value := await score) is not None:
                    return int(float(value))
        except (RedisError, OSError) as error:
            raise unavailable(error) from error
        return None

    async def _read(self, jobs: Sequence[tuple[Kind, str]]) -> list[dict[bytes, bytes]]:
        replies = [self._outbox.call("HGETALL", LaneKeys(kind).record(job_id)) for kind, job_id in jobs]
        try:
            return [hash_of(await reply) for reply in replies]
        except (RedisError, OSError) as error:
            raise unavailable(error) from error


def _between(place: tuple[int, str], oldest: _Bound, newest: _Bound) -> bool:
    """Tell whether a job lies between two others; jobs of the same millisecond are in the order of their ids."""
    if oldest[0] is not None and place <= (oldest[0], oldest[1] or ""):
        return False
    return newest[0] is None or place < (newest[0], newest[1] or "")


def _scored(flat: list[Any]) -> list[tuple[str, int]]:
    """Return members with scores, which come in pairs under RESP3 and one after the other under RESP2."""
    return [(member.decode(), int(score)) for member, score in scored_of(flat)]


def _record(kind: Kind, fields: dict[bytes, bytes]) -> JobRecord:
    job: dict[str, Any] = orjson.loads(fields[b"job"])
    if job.get("webhook"):
        job["webhook"].pop("secret", None)
    if deadline := fields.get(b"deadline"):
        job["deadline_ms"] = int(deadline)
    running: State = "running" if fields.get(b"running") == b"1" else "queued"
    status = fields.get(b"status")
    return JobRecord.model_validate(
        {
            "job": job,
            "kind": kind,
            "request": JobRequest.model_validate_json(fields[b"request"]),
            "state": status.decode() if status else running,
            "attempts": int(fields.get(b"attempts", 0)),
            "started_ms": _number(fields.get(b"started_ms")),
            "finished_ms": _number(fields.get(b"finished_ms")),
            "progress": Progress.model_validate_json(fields[b"progress"]) if b"progress" in fields else None,
        }
    )


def _ended(record: JobRecord, outcome: Outcome) -> JobRecord:
    return record.model_copy(
        update={
            "state": outcome.status,
            "attempts": outcome.attempts,
            "started_ms": outcome.started_ms or record.started_ms,
            "finished_ms": outcome.finished_ms,
            "outcome": outcome,
        }
    )


def _number(value: bytes | None) -> int | None:
    return None if value is None else int(value)
