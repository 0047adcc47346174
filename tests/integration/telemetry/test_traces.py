"""One call is one tree of spans, from the caller's own to the receiver of the webhook; none repeats what was said."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.integration.telemetry.scene import CALLER, SECRETS
from tests.servers import Server, running

pytestmark = pytest.mark.integration

ROOT = Path(__file__).parents[3]
Span = dict[str, Any]


@pytest.fixture(scope="module")
def told(server_program: Path) -> dict[str, Any]:
    with running(server_program) as server:
        return play(server)


def play(server: Server) -> dict[str, Any]:
    command = [sys.executable, "-m", "tests.integration.telemetry.scene", server.url]
    said = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=90, check=False)
    assert said.returncode == 0, said.stderr
    told: dict[str, Any] = json.loads(said.stdout)
    return told


def one(told: dict[str, Any], name: str, *, under: Span | None = None, linked: Span | None = None) -> Span:
    found = [span for span in told["spans"] if span["name"] == name]
    if under is not None:
        found = [span for span in found if span["parent"] == under["id"]]
    if linked is not None:
        found = [span for span in found if span["links"] == [linked["id"]]]
    assert len(found) == 1, (name, found)
    return dict(found[0])


def test_a_call_is_one_tree(told: dict[str, Any]) -> None:
    request = one(told, "POST /v1/audio/speech")
    assert (request["trace"], request["parent"]) == (CALLER[3:35], CALLER[36:52])
    published = one(told, "synthesize publish", under=request)
    processed = one(told, "synthesize process", under=published)
    assert [each["kind"] for each in (request, published, processed)] == ["SERVER", "PRODUCER", "CONSUMER"]
    assert request["attributes"]["http.route"] == "/v1/audio/speech"
    assert request["attributes"]["url.path"] == "/v1/audio/speech"
    assert request["attributes"]["http.response.status_code"] == 200
    assert request["ms"] >= 100, "the span lasts until the last byte of a streamed answer"


def test_whoever_is_told_of_the_end_is_in_the_trace_of_the_call(told: dict[str, Any]) -> None:
    ordered = one(told, "POST /v1/jobs")
    published = one(told, "synthesize publish", under=ordered)
    failed = one(told, "synthesize process", under=published)
    again = one(told, "synthesize process", linked=published)
    assert failed["attributes"]["error.type"] == "Failure"
    assert (again["parent"], again["trace"] != ordered["trace"]) == (None, True), "a retry is a trace of its own"

    queued = one(told, "webhook publish", under=published)
    delivering = one(told, "webhook process", under=queued)
    posted = one(told, "POST", under=delivering)
    assert posted["kind"] == "CLIENT"
    assert posted["attributes"]["server.address"] == "127.0.0.1"
    assert posted["attributes"]["http.response.status_code"] == 204
    assert told["received"]["traceparent"] == f"00-{ordered['trace']}-{posted['id']}-01"
    assert told["received"]["webhook-signature"] or told["received"]["webhook-id"]


def test_what_has_no_route_is_named_by_its_method(told: dict[str, Any]) -> None:
    lost = one(told, "GET")
    assert "http.route" not in lost["attributes"]
    assert lost["attributes"]["http.response.status_code"] == 404
    assert not [span for span in told["spans"] if "healthz" in json.dumps(span)], "nobody wants to see a probe"


def test_no_span_repeats_what_was_said_nor_a_key_nor_a_query(told: dict[str, Any]) -> None:
    spans = json.dumps(told["spans"])
    for secret in SECRETS:
        assert secret not in spans
