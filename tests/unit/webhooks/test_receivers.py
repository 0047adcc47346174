"""Who is told of what."""

from __future__ import annotations

from typing import Any

import pytest

from antiphon.schemas import JobEvent, WebhookTarget
from antiphon.webhooks import Endpoint
from services.webhooks.following import receivers_of

pytestmark = pytest.mark.unit


def endpoint(name: str, *event_types: str, **fields: Any) -> Endpoint:
    return Endpoint(
        id=f"whe_{name}",
        tenant="t",
        name=name,
        url="https://example.com",
        event_types=event_types or ("job.completed",),
        created_at=1,
        updated_at=1,
        **fields,
    )


def event(type_: str = "job.completed", webhook: WebhookTarget | None = None) -> JobEvent:
    return JobEvent.model_validate(
        {"id": "evt_1", "type": type_, "created_ms": 1, "kind": "transcribe", "tenant": "t", "webhook": webhook}
    )


def test_all_endpoints_that_want_the_event_are_told() -> None:
    a, b = endpoint("a"), endpoint("b", "job.failed", "job.completed")
    others = [
        endpoint("c", "job.failed"),
        endpoint("d", enabled=False),
        endpoint("e", "transcriptionCompletion", dialect="azure"),
    ]
    assert receivers_of(event(), [a, b, *others]) == [a, b]


def test_a_job_that_names_an_endpoint_tells_only_that_one() -> None:
    a, b = endpoint("a"), endpoint("b")
    assert receivers_of(event(webhook=WebhookTarget(endpoint="whe_b")), [a, b]) == [b]
    assert receivers_of(event(webhook=WebhookTarget(endpoint="whe_z")), [a, b]) == []
    assert receivers_of(event(webhook=WebhookTarget(endpoint="whe_b", events=("job.failed",))), [a, b]) == []


def test_a_jobs_own_url_is_told_besides_the_endpoints() -> None:
    a, target = endpoint("a"), WebhookTarget(url="https://example.com/mine")
    assert receivers_of(event(webhook=target), [a]) == [a, target]
    assert receivers_of(event("job.progress", webhook=target), [a]) == []


def test_batches_are_told_to_azure_endpoints_that_have_met_their_challenge() -> None:
    both = ("transcriptionProcessing", "transcriptionCompletion")
    a, b = endpoint("a", *both, dialect="azure"), endpoint("b", "transcriptionCompletion", dialect="azure")
    new = endpoint("c", *both, dialect="azure", validated=False)
    assert receivers_of(event("batch.started"), [a, b, new, endpoint("d")]) == [a]
    assert receivers_of(event("batch.completed"), [a, b, new, endpoint("d")]) == [a, b]
