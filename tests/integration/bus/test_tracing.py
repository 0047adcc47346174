"""One trace crosses the bus; a retry is linked to it; who exports nothing pays nothing."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.servers import Server

pytestmark = pytest.mark.integration

ROOT = Path(__file__).parents[3]


@pytest.fixture
def spans(server: Server) -> list[dict[str, Any]]:
    command = [sys.executable, "-m", "tests.integration.bus.tracing_scene", server.url]
    said = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=90, check=True).stdout
    rows: list[dict[str, Any]] = json.loads(said)
    return rows


def one(spans: list[dict[str, Any]], name: str, job: str | None, attempt: int | None = None) -> dict[str, Any]:
    found = [s for s in spans if s["name"] == name and s["job"] == job and attempt in (None, s["attempt"])]
    assert len(found) == 1, (name, job, attempt, found)
    return found[0]


def test_spans_follow_the_job_over_the_bus(spans: list[dict[str, Any]]) -> None:
    request = one(spans, "request", None)
    publish = one(spans, "transcribe publish", "outer")
    process = one(spans, "transcribe process", "outer")
    assert (publish["kind"], process["kind"]) == ("PRODUCER", "CONSUMER")
    assert publish["parent"] == request["id"]
    assert process["parent"] == publish["id"]

    inner_publish = one(spans, "translate publish", "inner")
    inner_process = one(spans, "translate process", "inner")
    assert inner_publish["parent"] == process["id"], "what a handler publishes is its own child"
    assert inner_process["parent"] == inner_publish["id"]
    assert {span["trace"] for span in (request, publish, process, inner_publish, inner_process)} == {request["trace"]}

    flaky_publish = one(spans, "transcribe publish", "flaky")
    first = one(spans, "transcribe process", "flaky", 1)
    second = one(spans, "transcribe process", "flaky", 2)
    assert first["parent"] == flaky_publish["id"]
    assert first["failed"]
    assert second["parent"] is None, "a retry is no child of what happened long before it"
    assert second["trace"] != request["trace"]
    assert second["links"] == [flaky_publish["id"]]
    assert not second["failed"]

    doomed_publish = one(spans, "transcribe publish", "doomed")
    lost, replayed = [span for span in spans if span["name"] == "transcribe process" and span["job"] == "doomed"]
    assert lost["parent"] == doomed_publish["id"]
    assert (replayed["parent"], replayed["attempt"]) == (None, 1)
    assert replayed["trace"] != request["trace"], "a dead letter may be days old"
    assert replayed["links"] == [doomed_publish["id"]]


def test_spans_say_what_kind_of_error_it_was_and_not_in_which_words(spans: list[dict[str, Any]]) -> None:
    first = one(spans, "transcribe process", "flaky", 1)
    assert first["attributes"]["error.type"] == "Failure"
    assert first["attributes"]["messaging.consumer.group.name"] == "workers"
    assert {first["attributes"][f"messaging.operation.{each}"] for each in ("name", "type")} == {"process"}
    assert "once" not in json.dumps(spans), "the words of an error may be those of a caller"


def test_a_process_that_exports_nothing_never_loads_what_exports(server: Server) -> None:
    program = f"""
import asyncio, sys
from antiphon.bus import Bus
from antiphon.schemas import TranscribeJob, BlobRef, Schema
from antiphon.settings import BusSettings
from antiphon.telemetry import configure_tracing
async def handle(job, work): return Schema()
async def main():
    async with Bus.open(BusSettings(redis_url={server.url!r})) as bus, bus.caller() as caller:
        async with bus.serve("transcribe", TranscribeJob, handle, concurrency=1):
            await (await caller.submit(TranscribeJob(audio=BlobRef(uri="redis:x"), model="m"))).outcome()
configure_tracing("test", instance="i")
asyncio.run(main())
# The Redis client loads the SDK's metrics by itself wherever it is installed; traces and exporters are ours.
loaded = [name for name in sys.modules if name.startswith(("opentelemetry.sdk.trace", "opentelemetry.exporter"))]
assert not loaded, loaded
"""
    subprocess.run([sys.executable, "-c", program], cwd=ROOT, timeout=90, check=True)


def test_a_producer_needs_neither_faststream_nor_codecs() -> None:
    program = """
import sys
import antiphon.bus
loaded = {name.split(".")[0] for name in sys.modules}
assert not loaded & {"faststream", "av", "soxr", "numpy", "obstore", "onnxruntime", "uvloop"}, loaded
assert not loaded & {"prometheus_client", "uvicorn"}, loaded
"""
    subprocess.run([sys.executable, "-c", program], cwd=ROOT, timeout=60, check=True)
