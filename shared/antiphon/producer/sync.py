"""The producer for programs without asyncio: the same methods, over one event loop in a thread of its own."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import threading
from concurrent.futures import Future
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, TypeVar

from antiphon.producer.producer import Producer

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Coroutine, Iterable, Iterator
    from datetime import timedelta
    from pathlib import Path

    from antiphon.bus import FollowedEvent
    from antiphon.producer.handle import Handle
    from antiphon.producer.results import Result, Results
    from antiphon.schemas import BlobRef, Job, Kind, Outcome, Priority
    from antiphon.settings import BusSettings

T = TypeVar("T")

_AT_A_TIME = 1_000
_END: Any = object()


class LoopThread:
    """Runs coroutines of any thread on one event loop."""

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="antiphon-producer", daemon=True)
        self._thread.start()

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        """Wait for a coroutine; it is cancelled when the waiting thread is interrupted."""
        if self._loop.is_closed():
            work.close()
            raise RuntimeError("the producer is closed")
        future: Future[T] = asyncio.run_coroutine_threadsafe(work, self._loop)
        try:
            return future.result()
        finally:
            future.cancel()

    def iterate(self, source: AsyncIterator[T]) -> Iterator[T]:
        """Yield what an asynchronous iterator yields."""
        try:
            while (item := self.run(_next(source))) is not _END:
                yield item
        finally:
            if hasattr(source, "aclose"):
                with contextlib.suppress(RuntimeError):
                    self.run(source.aclose())

    def stop(self) -> None:
        """End the loop and its thread."""
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()


class SyncProducer:
    """`Producer` without asyncio. `with SyncProducer.open(url) as producer`; any number of threads may use it."""

    def __init__(self, producer: Producer, thread: LoopThread) -> None:
        self._producer = producer
        self._thread = thread

    @classmethod
    @contextmanager
    def open(
        cls, bus: str | BusSettings | None = None, *, patience_s: float = 30.0, blob_ttl: timedelta | None = None
    ) -> Iterator[SyncProducer]:
        """As `Producer.open`."""
        thread = LoopThread()
        try:
            opened = Producer.open(bus, patience_s=patience_s, blob_ttl=blob_ttl)
            producer = thread.run(opened.__aenter__())
            try:
                yield cls(producer, thread)
            finally:
                thread.run(opened.__aexit__(None, None, None))
        finally:
            thread.stop()

    def publish(
        self,
        job: Job,
        *,
        priority: Priority = "std",
        idempotency_key: str | None = None,
        reply: str | None = None,
        expires_in_s: float | None = None,
    ) -> str:
        """As `Producer.publish`."""
        return self._thread.run(
            self._producer.publish(
                job, priority=priority, idempotency_key=idempotency_key, reply=reply, expires_in_s=expires_in_s
            )
        )

    def publish_many(
        self,
        jobs: Iterable[Job],
        *,
        priority: Priority = "bulk",
        idempotency_key: Callable[[Job], str] | None = None,
        reply: str | None = None,
        expires_in_s: float | None = None,
    ) -> int:
        """As `Producer.publish_many`; the jobs are made in the thread that calls."""
        source, count = iter(jobs), 0
        while lot := list(itertools.islice(source, _AT_A_TIME)):
            count += self._thread.run(
                self._producer.publish_many(
                    lot, priority=priority, idempotency_key=idempotency_key, reply=reply, expires_in_s=expires_in_s
                )
            )
        return count

    def submit(self, job: Job, *, priority: Priority = "std", expires_in_s: float | None = None) -> SyncHandle:
        """As `Producer.submit`."""
        handle = self._thread.run(self._producer.submit(job, priority=priority, expires_in_s=expires_in_s))
        return SyncHandle(handle, self._thread)

    def outcome(self, kind: Kind, job_id: str, *, timeout_s: float | None = None) -> Outcome:
        """As `Producer.outcome`."""
        return self._thread.run(self._producer.outcome(kind, job_id, timeout_s=timeout_s))

    def follow(self, kind: Kind, job_id: str, *, after: str = "0-0", streamed: bool = True) -> Iterator[FollowedEvent]:
        """As `Producer.follow`."""
        return self._thread.iterate(self._producer.follow(kind, job_id, after=after, streamed=streamed))

    def cancel(self, kind: Kind, job_id: str) -> bool:
        """As `Producer.cancel`."""
        return self._thread.run(self._producer.cancel(kind, job_id))

    def results(
        self, kind: Kind, name: str, *, group: str, consumer: str | None = None, limit: int = 1_000
    ) -> SyncResults:
        """As `Producer.results`."""
        results = self._producer.results(kind, name, group=group, consumer=consumer, limit=limit)
        return SyncResults(results, self._thread)

    def audio(self, audio: bytes | str | Path, *, media_type: str | None = None) -> BlobRef:
        """As `Producer.audio`."""
        return self._thread.run(self._producer.audio(audio, media_type=media_type))


class SyncHandle:
    """`Handle` without asyncio."""

    def __init__(self, handle: Handle, thread: LoopThread) -> None:
        self.job = handle.job
        self.job_id = handle.job_id
        self._handle = handle
        self._thread = thread

    def outcome(self, *, timeout_s: float | None = None) -> Outcome:
        """As `Handle.outcome`."""
        return self._thread.run(self._handle.outcome(timeout_s=timeout_s))

    def events(self) -> Iterator[FollowedEvent]:
        """As `Handle.events`."""
        return self._thread.iterate(self._handle.events())

    def cancel(self) -> bool:
        """As `Handle.cancel`."""
        return self._thread.run(self._handle.cancel())


class SyncResult:
    """`Result` without asyncio."""

    def __init__(self, result: Result, thread: LoopThread) -> None:
        self.outcome = result.outcome
        self.job_id = result.job_id
        self.entry = result.entry
        self._result = result
        self._thread = thread

    def done(self) -> None:
        """As `Result.done`."""
        self._thread.run(self._result.done())


class SyncResults:
    """`Results` without asyncio: iterate over it inside `with`."""

    def __init__(self, results: Results, thread: LoopThread) -> None:
        self._results = results
        self._thread = thread

    def __enter__(self) -> SyncResults:
        self._thread.run(self._results.__aenter__())
        return self

    def __exit__(self, *_: object) -> None:
        self._thread.run(self._results.__aexit__())

    def __iter__(self) -> Iterator[SyncResult]:
        for result in self._thread.iterate(self._results):
            yield SyncResult(result, self._thread)


async def _next(source: AsyncIterator[T]) -> T:
    try:
        return await anext(source)
    except StopAsyncIteration:
        return _END  # type: ignore[no-any-return]
