"""One trace from the caller's own span through the door and the bus to the worker."""

from __future__ import annotations

import secrets
import time
from pathlib import Path

import openai
import pytest

from tests.contract.collector import Collector, Span

pytestmark = pytest.mark.contract

EXPORT_S = 20.0


def test_a_request_is_one_trace_from_the_caller_to_the_worker(
    client: openai.OpenAI, clips: Path, collector: Collector
) -> None:
    trace_id, caller = secrets.token_hex(16), secrets.token_hex(8)
    with (clips / "en" / "hello_world.wav").open("rb") as file:
        client.audio.transcriptions.create(
            model="whisper-1", file=file, extra_headers={"traceparent": f"00-{trace_id}-{caller}-01"}
        )
    door, publish, process = await_spans(
        collector, trace_id, "POST /v1/audio/transcriptions", "transcribe publish", "transcribe process"
    )
    assert door.parent_id == caller
    assert publish.parent_id == door.span_id
    assert process.parent_id == publish.span_id
    assert [span.service for span in (door, publish, process)] == [
        "antiphon-ingest",
        "antiphon-ingest",
        "antiphon-transcriber",
    ]


def await_spans(collector: Collector, trace_id: str, *names: str) -> list[Span]:
    """Wait until the named spans of a trace have been exported."""
    deadline = time.monotonic() + EXPORT_S
    while time.monotonic() < deadline:
        trace = collector.trace(trace_id)
        if all(name in trace for name in names):
            return [trace[name] for name in names]
        time.sleep(0.05)
    pytest.fail(f"of the spans {names} only {sorted(collector.trace(trace_id))} came")
