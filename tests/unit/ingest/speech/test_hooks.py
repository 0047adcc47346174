from __future__ import annotations

from typing import Any

import pytest

from antiphon.errors import InvalidRequest, InvalidValue, MissingParameter
from antiphon.webhooks import Endpoint
from services.ingest.errors_speech import NotServed
from services.ingest.speech.address import Address
from services.ingest.speech.hooks import hook_object, read_hook, read_hook_change, require_validated

pytestmark = pytest.mark.unit

BODY: dict[str, Any] = {
    "displayName": "Mine",
    "webUrl": "https://example.com/hook",
    "events": {"transcriptionCompletion": True, "transcriptionCreation": False, "datasetCreation": True, "ping": True},
    "properties": {"secret": "s3cret", "apiVersion": "2024-11-15"},
}


def test_a_registration_is_read() -> None:
    hook = read_hook(BODY)
    assert hook.event_types == ("transcriptionCompletion", "ping")
    assert hook.secret == "s3cret"
    assert hook.definition == {"events": {"transcriptionCompletion": True, "datasetCreation": True, "ping": True}}


@pytest.mark.parametrize("name", ["displayName", "webUrl", "events"])
def test_what_is_required_is_asked_for(name: str) -> None:
    with pytest.raises(MissingParameter, match=name):
        read_hook({key: value for key, value in BODY.items() if key != name})


@pytest.mark.parametrize(
    "changes",
    [
        {"events": ["ping"]},
        {"events": {"ping": "yes"}},
        {"properties": "s"},
        {"properties": {"secret": "x" * 257}},
        {"webUrl": 1},
        {"displayName": "x" * 257},
        {"customProperties": {"k": 1}},
    ],
)
def test_a_wrong_value_is_refused(changes: dict[str, Any]) -> None:
    with pytest.raises(InvalidValue):
        read_hook(BODY | changes)


def test_events_that_never_happen_here_are_not_enough() -> None:
    with pytest.raises(NotServed):
        read_hook(BODY | {"events": {"datasetCreation": True}})


def test_properties_without_a_secret_take_it_away() -> None:
    assert read_hook_change({"properties": {}}).secret == ""
    assert read_hook_change({"displayName": "Other"}).secret is None


def test_a_registration_never_shows_its_secret() -> None:
    hook = Endpoint(
        id="whe_1",
        tenant="t",
        name="Mine",
        url="https://example.com/hook",
        event_types=("ping",),
        dialect="azure",
        created_at=1_700_000_000,
        updated_at=1_700_000_060,
        secret="s3cret",
        validated=False,
        definition={"events": {"ping": True, "datasetCreation": True}, "description": "D"},
    )
    shown = hook_object(hook, Address(origin="https://h", version=None, api_version="2025-10-15"))
    assert "s3cret" not in str(shown)
    assert shown["self"] == "https://h/speechtotext/webhooks/whe_1?api-version=2025-10-15"
    assert shown["links"]["ping"] == "https://h/speechtotext/webhooks/whe_1:ping?api-version=2025-10-15"
    assert (shown["status"], shown["events"]["datasetCreation"], shown["description"]) == ("NotStarted", True, "D")
    assert (shown["createdDateTime"], shown["lastActionDateTime"]) == ("2023-11-14T22:13:20Z", "2023-11-14T22:14:20Z")
    with pytest.raises(InvalidRequest):
        require_validated(hook)
    done = hook_object(
        hook.model_copy(update={"validated": True}), Address(origin="https://h", version="v3.2", api_version=None)
    )
    assert (done["status"], done["properties"]) == ("Succeeded", {"apiVersion": "v3.2"})
