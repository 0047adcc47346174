from __future__ import annotations

from typing import Any

import pytest

from antiphon.errors import AntiphonError
from services.ingest.parameters.pages import Page, read_page
from services.ingest.parameters.webhooks import (
    EndpointChange,
    NewEndpoint,
    read_endpoint_change,
    read_new_endpoint,
    read_rotation,
    read_test,
)

pytestmark = pytest.mark.unit

WANTED: dict[str, Any] = {
    "name": "mine",
    "url": "https://example.com/hook",
    "event_types": ["job.completed", "job.progress"],
}


def refusal(error: pytest.ExceptionInfo[AntiphonError]) -> tuple[str | None, str | None]:
    return error.value.code, error.value.param


def test_a_receiver_has_a_name_a_url_and_event_types() -> None:
    assert read_new_endpoint(WANTED) == NewEndpoint(
        name="mine", url="https://example.com/hook", event_types=("job.completed", "job.progress")
    )


@pytest.mark.parametrize("name", ["name", "url", "event_types"])
def test_what_is_required_is_asked_for_by_name(name: str) -> None:
    for values in ({key: value for key, value in WANTED.items() if key != name}, {**WANTED, name: None}):
        with pytest.raises(AntiphonError) as raised:
            read_new_endpoint(values)
        assert refusal(raised) == ("missing_required_parameter", name)


@pytest.mark.parametrize(
    ("values", "param"),
    [
        ({"event_types": []}, "event_types"),
        ({"event_types": "job.completed"}, "event_types"),
        ({"event_types": ["job.completed", 1]}, "event_types"),
        ({"event_types": ["job.completed", "job.begun"]}, "event_types[1]"),
        ({"event_types": ["x" * 10_000]}, "event_types[0]"),
        ({"name": ""}, "name"),
        ({"name": 7}, "name"),
        ({"name": "n" * 257}, "name"),
        ({"url": " "}, "url"),
        ({"url": "https://example.com/" + "p" * 2048}, "url"),
    ],
)
def test_a_wrong_value_is_named(values: dict[str, Any], param: str) -> None:
    with pytest.raises(AntiphonError) as raised:
        read_endpoint_change(values)
    assert refusal(raised) == ("invalid_value", param)
    assert len(raised.value.message) < 400


def test_an_unknown_parameter_is_named() -> None:
    with pytest.raises(AntiphonError) as raised:
        read_new_endpoint({**WANTED, "secret": "whsec_"})
    assert refusal(raised) == ("unknown_parameter", "secret")


def test_a_change_leaves_the_rest_as_it_is() -> None:
    assert read_endpoint_change({"name": "other"}) == EndpointChange(name="other", url=None, event_types=None)
    assert read_endpoint_change({}) == EndpointChange(name=None, url=None, event_types=None)


def test_a_type_named_twice_is_meant_once() -> None:
    change = read_endpoint_change({"event_types": ["job.failed", "job.completed", "job.failed"]})
    assert change.event_types == ("job.failed", "job.completed")


def test_the_old_secret_stays_valid_unless_it_is_given_up() -> None:
    name = "keep_old_secret_active_for_24_hours"
    assert [read_rotation(values) for values in ({}, {name: None}, {name: True}, {name: False})] == [True] * 3 + [False]
    for values, code in (({name: "no"}, "invalid_value"), ({"keep": True}, "unknown_parameter")):
        with pytest.raises(AntiphonError) as raised:
            read_rotation(values)
        assert refusal(raised) == (code, next(iter(values)))


def test_a_test_names_the_event_to_send() -> None:
    assert read_test({"event_type": "job.failed"}) == "job.failed"
    for values, code in (({}, "missing_required_parameter"), ({"event_type": "job.begun"}, "invalid_value")):
        with pytest.raises(AntiphonError) as raised:
            read_test(values)
        assert refusal(raised) == (code, "event_type")


def test_a_page_holds_twenty_unless_asked() -> None:
    assert read_page({}) == Page(after=None, limit=20)
    assert read_page({"after": "whe_1", "limit": "100"}) == Page(after="whe_1", limit=100)


@pytest.mark.parametrize("limit", ["0", "101", "-1", "", "ten", "1.5", "²", "9" * 40])
def test_a_page_has_a_size(limit: str) -> None:
    with pytest.raises(AntiphonError) as raised:
        read_page({"limit": limit})
    assert refusal(raised) == ("invalid_value", "limit")
