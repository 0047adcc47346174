"""The documents of the bus say what the schemas say, and are what they claim to be."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from faststream.specification.asyncapi.v3_0_0.schema import ApplicationSchema

from antiphon.bus import LaneKeys
from antiphon.bus.wire import open_envelope
from antiphon.documents.__main__ import files
from antiphon.documents.asyncapi import document
from antiphon.documents.schemas import DIALECT
from antiphon.schemas import JOB_SCHEMAS, PRIORITIES

pytestmark = pytest.mark.unit

DOCS = Path(__file__).parents[3] / "docs"
LANES = [f"{{{kind}}}" for kind in JOB_SCHEMAS]


def test_the_documents_are_up_to_date() -> None:
    stale = [str(name) for name, text in files() if not (DOCS / name).is_file() or (DOCS / name).read_text() != text]
    assert stale == [], "run `make docs`"
    assert {path.name for path in (DOCS / "schemas").iterdir()} == {
        name.name for name, _ in files() if name.parent.name == "schemas"
    }


def test_each_schema_is_a_json_schema() -> None:
    for name, text in files():
        if name.parent.name == "schemas":
            schema = json.loads(text)
            assert schema["$schema"] == DIALECT
            jsonschema.Draft202012Validator.check_schema(schema)


def test_the_framework_reads_the_document() -> None:
    read = ApplicationSchema.model_validate(document())
    assert read.asyncapi == "3.0.0"
    assert set(read.channels) == {"jobs", "replies", "results", "output", "events", "dead"}
    assert {operation.action.value for operation in read.operations.values()} == {"send", "receive"}


def test_every_reference_leads_somewhere() -> None:
    whole = document()

    def look(node: Any) -> None:
        if isinstance(node, dict):
            if isinstance(ref := node.get("$ref"), str):
                found: Any = whole
                for part in ref.removeprefix("#/").split("/"):
                    found = found[part]
            for child in node.values():
                look(child)
        elif isinstance(node, list):
            for child in node:
                look(child)

    look(whole)


def test_every_example_is_valid() -> None:
    whole = document()
    count = 0
    for message in whole["components"]["messages"].values():
        for example in message.get("examples", []):
            payload = {**message["payload"], "components": whole["components"]}
            jsonschema.Draft202012Validator(payload).validate(example["payload"])
            if "headers" in message:
                jsonschema.validate(example["headers"], message["headers"])
            count += 1
    assert count >= 10


def test_the_addresses_are_the_keys() -> None:
    channels = document()["channels"]

    def expand(name: str, lane: str, /, **given: str) -> str:
        channel = channels[name]
        assert lane in channel["parameters"]["lane"]["enum"]
        address: str = channel["address"].replace("{lane}", lane)
        for parameter, value in given.items():
            address = address.replace(f"{{{parameter}}}", value)
        return address

    for kind, lane in zip(JOB_SCHEMAS, LANES, strict=True):
        keys = LaneKeys(kind)
        assert {expand("jobs", lane, priority=each) for each in PRIORITIES} == set(keys.streams)
        assert expand("replies", lane, name="me") == keys.replies("me")
        assert expand("results", lane, job="j") == keys.result("j")
        assert expand("output", lane, job="j") == keys.output("j")
        assert expand("events", lane) == keys.events
        assert expand("dead", lane) == keys.dead


def test_the_headers_of_a_job_are_the_fields_that_are_read() -> None:
    properties = document()["components"]["messages"]["TranscribeJob"]["headers"]["properties"]
    given = {"deadline": "1", "attempt": "2"}
    fields = {name.encode(): given.get(name, name).encode() for name in properties}
    envelope = open_envelope({b"data": b"{}", **fields})
    read = {"id", "reply", "deadline", "traceparent", "tracestate", "attempt"}
    assert set(properties) == read
    assert (envelope.id, envelope.reply, envelope.deadline_ms, envelope.attempt) == ("id", "reply", 1, 2)
