"""The asynchronous producer."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from antiphon.bus import Bus, FollowedEvent
from antiphon.bus.results import ResultsReader
from antiphon.errors import Overloaded, Unavailable
from antiphon.producer.audio import Sound
from antiphon.producer.handle import Handle
from antiphon.producer.lots import Lot, lots_of
from antiphon.producer.patience import Patience
from antiphon.producer.results import Results
from antiphon.settings import BlobSettings, BusSettings, process_name

if TYPE_CHECKING:
    from collections.abc import AsyncIterable, AsyncIterator, Callable, Iterable
    from datetime import timedelta
    from pathlib import Path

    from antiphon.bus import Caller
    from antiphon.schemas import BlobRef, Job, Kind, Outcome, Priority

_FIRST_LOOK_S = 0.02
_LONGEST_LOOK_S = 0.5
_IDLE_S = 60.0


class Producer:
    """Puts jobs on the bus and brings back what becomes of them. `async with Producer.open(url) as producer`.

    Every method goes on trying for `patience_s` while the server is away or the lane is full, under the same job id:
    a job may then stand on its lane twice and run twice, but has one visible result. With an idempotency key it does
    not stand there twice. Raises `Overloaded` or `Unavailable` when the patience is at an end.
    """

    def __init__(self, bus: Bus, caller: Caller, *, patience_s: float, blob_ttl: timedelta) -> None:
        self._bus = bus
        self._caller = caller
        self._patience_s = patience_s
        self._blob_ttl = blob_ttl

    @classmethod
    @asynccontextmanager
    async def open(
        cls, bus: str | BusSettings | None = None, *, patience_s: float = 30.0, blob_ttl: timedelta | None = None
    ) -> AsyncIterator[Producer]:
        """Connect to the server of that URL, or of the environment (`REDIS_URL`); lazily, at the first call.

        `blob_ttl` is how long audio stays that does not fit into a job: 24 hours, or `ANTIPHON_BLOB_TTL`.
        """
        settings = bus if isinstance(bus, BusSettings) else BusSettings(redis_url=bus) if bus else BusSettings()
        ttl = blob_ttl or BlobSettings().blob_ttl
        async with Bus.open(settings) as opened, opened.caller() as caller:
            yield cls(opened, caller, patience_s=patience_s, blob_ttl=ttl)

    async def publish(
        self,
        job: Job,
        *,
        priority: Priority = "std",
        idempotency_key: str | None = None,
        reply: str | None = None,
        expires_in_s: float | None = None,
    ) -> str:
        """Put a job on its lane and return its id, or that of the job for which the same key stood already.

        `reply` names the stream that gets the outcome: read it with `results`. `expires_in_s` is the deadline from
        now, by the server's clock.
        """
        admitted = await self._patience().insist(
            lambda: self._caller.publish(
                job, priority=priority, reply=reply, idempotency_key=idempotency_key, expires_in_s=expires_in_s
            )
        )
        return admitted.job_id

    async def publish_many(
        self,
        jobs: Iterable[Job] | AsyncIterable[Job],
        *,
        priority: Priority = "bulk",
        idempotency_key: Callable[[Job], str] | None = None,
        reply: str | None = None,
        expires_in_s: float | None = None,
    ) -> int:
        """Put any number of jobs on their lanes, a few hundred at a time; return how many there were.

        `idempotency_key` gives the key of a job. After an error publish the same jobs again: their ids make it
        harmless. The patience is for a stretch without any progress.
        """
        count = 0
        async for lot in lots_of(jobs):
            if idempotency_key is None:
                await self._publish_lot(lot, priority=priority, reply=reply, expires_in_s=expires_in_s)
            else:
                # Not a TaskGroup: it would wrap what the first refused job says.
                await asyncio.gather(
                    *[
                        self.publish(
                            job,
                            priority=priority,
                            idempotency_key=idempotency_key(job),
                            reply=reply,
                            expires_in_s=expires_in_s,
                        )
                        for job in lot.jobs
                    ]
                )
            count += len(lot.jobs)
        return count

    async def submit(self, job: Job, *, priority: Priority = "std", expires_in_s: float | None = None) -> Handle:
        """Put a job on its lane to await it here."""
        call = await self._patience().insist(
            lambda: self._caller.submit(job, priority=priority, expires_in_s=expires_in_s)
        )
        return Handle(self, job, call)

    async def outcome(self, kind: Kind, job_id: str, *, timeout_s: float | None = None) -> Outcome:
        """Wait for the end of a job that anybody has published. Raises `TimeoutError` after `timeout_s`.

        A result is kept for the job's `keep_s`; a job that nobody knows is awaited all the same.
        """
        pause_s = _FIRST_LOOK_S
        async with asyncio.timeout(timeout_s):
            while True:
                outcome = await self._patience().insist(lambda: self._bus.records.outcome(kind, job_id))
                if outcome is not None:
                    return outcome
                await asyncio.sleep(pause_s)
                pause_s = min(2 * pause_s, _LONGEST_LOOK_S)

    async def follow(
        self, kind: Kind, job_id: str, *, after: str = "0-0", streamed: bool = True
    ) -> AsyncIterator[FollowedEvent]:
        """Yield the output of a streamed job behind entry `after`, else its progress if tracked; last the outcome.

        Any number may follow the same job. Raises `Unavailable` when the server stays away.
        """
        async for event in self._bus.follow(kind, job_id, after=after, streamed=streamed, idle_s=_IDLE_S):
            if event is not None:
                yield event

    async def cancel(self, kind: Kind, job_id: str) -> bool:
        """Ask for a job to be stopped; tell whether it had not ended."""
        return await self._patience().insist(lambda: self._caller.cancel(kind, job_id))

    def results(self, kind: Kind, name: str, *, group: str, consumer: str | None = None, limit: int = 1_000) -> Results:
        """Return the outcomes of the jobs of a lane that were published with `reply=name`, as a consumer of a group.

        Every group is given every outcome, each by one of its consumers. Give `consumer` a name that nobody else uses
        to begin, after a restart, with what was not done. Up to `limit` are held at a time.
        """
        reader = ResultsReader(
            self._bus.servers,
            self._bus.scripts,
            kind,
            name,
            group=group,
            consumer=consumer or process_name(),
            lease=self._bus.settings.lease,
        )
        return Results(reader, self._patience, limit=limit)

    async def audio(self, audio: bytes | str | Path, *, media_type: str | None = None) -> BlobRef:
        """Return a reference to the bytes, or to the contents of the file, for a job.

        Up to 1 MiB travels in the job; more is stored in the server, where it takes memory for the blobs' time.
        Raises `OSError` for a file that cannot be read, `ContentTooLarge` above 512 MiB.
        """
        sound = await asyncio.to_thread(Sound.open, audio, media_type=media_type)
        try:
            if sound.small:
                return await asyncio.to_thread(sound.inline)
            return await self._patience().insist(lambda: sound.keep(self._bus.values, self._blob_ttl))
        finally:
            await asyncio.to_thread(sound.file.close)

    async def _publish_lot(
        self, lot: Lot, *, priority: Priority, reply: str | None, expires_in_s: float | None
    ) -> None:
        patience = self._patience()
        done = 0
        while done < len(lot.jobs):
            try:
                accepted = await self._caller.publish_many(
                    lot.kind, lot.data[done:], priority=priority, reply=reply, expires_in_s=expires_in_s
                )
                done += accepted
                if accepted:
                    patience.note_progress()
                if done < len(lot.jobs):
                    # A single one is told when there will be room, and gets a place in the line.
                    await self._caller.publish(
                        lot.jobs[done], priority=priority, reply=reply, expires_in_s=expires_in_s
                    )
                    done += 1
            except (Overloaded, Unavailable) as error:
                await patience.wait(error)

    def _patience(self) -> Patience:
        return Patience(self._patience_s)
