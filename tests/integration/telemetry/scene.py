"""Spans of one call through the door, the bus and the webhook service, as JSON on stdout:
`python -m tests.integration.telemetry.scene URL`. A process of its own, because the provider of traces is one for a
whole process.
"""

from __future__ import annotations

import asyncio
import json
import sys
from datetime import timedelta
from typing import Any

import httpx
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from antiphon.bus import Work
from antiphon.errors import Failure
from antiphon.models import Catalogue
from antiphon.schemas import Speech, SynthesizeJob
from antiphon.settings import BusSettings, EgressSettings
from antiphon.telemetry.health import Health
from services.ingest.access.keyring import Keyring
from services.ingest.app import assemble
from services.ingest.platform import open_platform
from services.ingest.settings import IngestSettings
from services.webhooks.app import build
from services.webhooks.settings import WebhookSettings
from tests.eventually import eventually
from tests.integration.webhooks.receiver import receiving

CALLER = "00-" + "ab" * 16 + "-" + "cd" * 8 + "-01"
SECRETS = ("sk-scene-0123456789", "words of a caller", "secret-query", "secret-hook")


async def play(url: str) -> dict[str, str]:
    """Play, and return the headers that the receiver got."""
    bus = BusSettings(redis_url=url, backoff=timedelta(milliseconds=10))
    stop = asyncio.Event()
    webhooks = WebhookSettings(bus=bus, egress=EgressSettings(egress_allow=("127.0.0.0/8",)))
    settings = IngestSettings(bus=bus, egress=webhooks.egress)
    async with open_platform(settings, Catalogue.load()) as platform, receiving() as receiver:
        app = assemble(platform, Keyring.parse(SECRETS[0]))

        async def speak(job: SynthesizeJob, work: Work) -> Speech:
            if job.metadata.get("flaky") and work.attempt == 1:
                raise Failure(job.text)
            sound = await platform.blobs.put(b"sound", media_type="audio/mpeg")
            for piece in (b"so", b"und"):
                await work.emit("audio", piece)
                await asyncio.sleep(0.05)
            return Speech(
                media_type="audio/mpeg", sample_rate=24_000, duration=1, size=5, input_tokens=1, output_tokens=1,
                audio=sound,
            )  # fmt: skip

        headers = {"authorization": f"Bearer {SECRETS[0]}", "traceparent": CALLER}
        transport = httpx.ASGITransport(app=app)
        async with (
            httpx.AsyncClient(transport=transport, base_url="http://door", headers=headers) as client,
            platform.bus.serve("synthesize", SynthesizeJob, speak, concurrency=2),
            asyncio.TaskGroup() as group,
        ):
            group.create_task(build(webhooks).serve(stop, Health(stop)))
            await client.get("/healthz")
            await client.get("/v1/secret-path?key=secret-query")
            said = {"model": "tts-1", "voice": "nova", "input": SECRETS[1]}
            reply = await client.post("/v1/audio/speech?note=secret-query", json=said)
            assert reply.content == b"sound", reply.text
            order = {
                "kind": "synthesize", "model": "tts-1", "voice": "nova", "input": SECRETS[1],
                "webhook": {"url": f"{receiver.url}/secret-hook?secret-query"}, "metadata": {"flaky": "1"},
            }  # fmt: skip
            reply = await client.post("/v1/jobs", json=order)
            assert reply.status_code == 202, reply.text
            await eventually(lambda: receiver.deliveries)
            stop.set()
    return receiver.deliveries[0].headers


def main() -> None:
    exporter = InMemorySpanExporter()
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    trace.set_tracer_provider(provider)
    received = asyncio.run(play(sys.argv[1]))
    spans: list[dict[str, Any]] = []
    for span in exporter.get_finished_spans():
        assert span.context is not None
        spans.append(
            {
                "name": span.name,
                "kind": span.kind.name,
                "id": f"{span.context.span_id:016x}",
                "trace": f"{span.context.trace_id:032x}",
                "parent": f"{span.parent.span_id:016x}" if span.parent else None,
                "links": [f"{link.context.span_id:016x}" for link in span.links],
                "attributes": dict(span.attributes or {}),
                "events": [[event.name, dict(event.attributes or {})] for event in span.events],
                "status": [span.status.status_code.name, span.status.description],
                "ms": (span.end_time or 0) / 1e6 - (span.start_time or 0) / 1e6,
            }
        )
    print(json.dumps({"spans": spans, "received": received}))


if __name__ == "__main__":
    main()
