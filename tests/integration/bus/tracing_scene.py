"""Spans of a few jobs, as JSON on stdout: `python -m tests.integration.bus.tracing_scene URL`. A process of its own,
because the provider of traces is one for a whole process.
"""

from __future__ import annotations

import asyncio
import json
import sys
from datetime import timedelta

from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from antiphon.bus import Bus, GivenUp, Work
from antiphon.errors import Failure
from antiphon.schemas import BlobRef, Job, Schema, TranscribeJob, TranslateJob
from antiphon.settings import BusSettings


class Done(Schema):
    """A result."""


async def play(url: str) -> None:
    settings = BusSettings(redis_url=url, backoff=timedelta(milliseconds=10))
    audio = BlobRef(uri="redis:x")
    doomed: list[str] = []
    replayed = asyncio.Event()
    async with Bus.open(settings) as bus, bus.caller() as caller:

        async def transcribe(job: Job, work: Work) -> Done:
            if job.metadata.get("nested"):
                await (await caller.submit(TranslateJob(id="inner", audio=audio, model="m"))).outcome()
            if job.metadata.get("flaky") and work.attempt == 1:
                raise Failure("once")
            if job.metadata.get("doomed") and not doomed:
                doomed.append(job.id)
                raise GivenUp(Failure("once"))
            if doomed:
                replayed.set()
            return Done()

        async def translate(job: Job, work: Work) -> Done:
            return Done()

        async with (
            bus.serve("transcribe", TranscribeJob, transcribe, concurrency=2),
            bus.serve("translate", TranslateJob, translate, concurrency=2),
        ):
            with trace.get_tracer("scene").start_as_current_span("request"):
                outer = TranscribeJob(id="outer", audio=audio, model="m", metadata={"nested": "1"})
                await (await caller.submit(outer)).outcome()
                flaky = TranscribeJob(id="flaky", audio=audio, model="m", metadata={"flaky": "1"})
                await (await caller.submit(flaky)).outcome()
                lost = TranscribeJob(id="doomed", audio=audio, model="m", metadata={"doomed": "1"})
                await (await caller.submit(lost)).outcome()
            letters = bus.dead_letters("transcribe")
            await letters.replay(await letters.find("doomed"))
            await replayed.wait()


def main() -> None:
    exporter = InMemorySpanExporter()
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    trace.set_tracer_provider(provider)
    asyncio.run(play(sys.argv[1]))
    rows = []
    for span in exporter.get_finished_spans():
        assert span.context is not None
        rows.append(
            {
                "name": span.name,
                "job": (span.attributes or {}).get("messaging.message.id"),
                "attempt": (span.attributes or {}).get("antiphon.attempt"),
                "kind": span.kind.name,
                "id": span.context.span_id,
                "trace": span.context.trace_id,
                "parent": span.parent.span_id if span.parent else None,
                "links": [link.context.span_id for link in span.links],
                "attributes": dict(span.attributes or {}),
                "events": [[event.name, dict(event.attributes or {})] for event in span.events],
                "failed": span.status.status_code.name == "ERROR",
            }
        )
    print(json.dumps(rows))


if __name__ == "__main__":
    main()
