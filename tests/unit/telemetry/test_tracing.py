"""What the standard variables say about traces holds. In processes of their own: a provider is one for a process."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from typing import Any

import pytest

pytestmark = pytest.mark.unit

PROGRAM = """
import json
from opentelemetry import trace
from antiphon.telemetry import configure_tracing, continued_trace, current_trace
configure_tracing("test", instance="one")
tracer = trace.get_tracer("x")
def sampled():
    with tracer.start_as_current_span("x") as span:
        return span.get_span_context().trace_flags.sampled, current_trace().get("traceparent", "")
alone, parent = sampled()
with continued_trace({"traceparent": "00-" + "a" * 32 + "-" + "b" * 16 + "-01"}):
    child, header = sampled()
resource = getattr(trace.get_tracer_provider(), "resource", None)
print(json.dumps([alone, child, header[3:35], resource and dict(resource.attributes)]), flush=True)
import os; os._exit(0)
"""


def play(**environment: str) -> tuple[bool, bool, str, dict[str, Any] | None]:
    clean = {name: value for name, value in os.environ.items() if not name.startswith("OTEL_")}
    said = subprocess.run(
        [sys.executable, "-c", PROGRAM], env=clean | environment, capture_output=True, text=True, timeout=60, check=True
    )
    alone, child, trace_id, resource = json.loads(said.stdout)
    return alone, child, trace_id, resource


COLLECTOR = {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:9"}


def test_without_a_collector_nothing_is_recorded() -> None:
    alone, child, trace_id, resource = play()
    assert (alone, child, resource) == (False, True, None)
    assert trace_id == "a" * 32, "what a caller began is handed on all the same"


def test_the_sampler_is_the_one_that_the_variable_names() -> None:
    assert play(**COLLECTOR)[:2] == (True, True)
    assert play(**COLLECTOR, OTEL_TRACES_SAMPLER="always_off")[:2] == (False, False)
    none_of_ours = {"OTEL_TRACES_SAMPLER": "parentbased_traceidratio", "OTEL_TRACES_SAMPLER_ARG": "0"}
    assert play(**COLLECTOR, **none_of_ours)[:2] == (False, True)


def test_a_process_says_who_it_is_unless_it_is_told() -> None:
    about = play(**COLLECTOR)[3]
    assert about is not None
    assert (about["service.name"], about["service.instance.id"]) == ("antiphon-test", "one")
    assert about["service.version"]
    told = play(**COLLECTOR, OTEL_SERVICE_NAME="mine", OTEL_RESOURCE_ATTRIBUTES="service.instance.id=two,zone=a")[3]
    assert told is not None
    assert (told["service.name"], told["service.instance.id"], told["zone"]) == ("mine", "two", "a")
