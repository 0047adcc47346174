from __future__ import annotations

import pytest
from starlette.datastructures import Headers

from antiphon.errors import InvalidValue, MissingParameter
from services.ingest.realtime.handshake import (
    CallsNotServed,
    chosen_subprotocol,
    keys_of_upgrade,
    need_model,
    read_upgrade,
    without_keys,
)

pytestmark = pytest.mark.unit

NO_HEADERS = Headers({})


def test_nothing_but_the_name_of_the_protocol_is_ever_selected() -> None:
    assert chosen_subprotocol(["openai-insecure-api-key.sk-1", "realtime"]) == "realtime"
    assert chosen_subprotocol(["openai-insecure-api-key.sk-1", "openai-beta.realtime-v1"]) is None
    assert chosen_subprotocol([]) is None


def test_the_keys_of_browsers_are_found_in_urls_and_subprotocols() -> None:
    query = b"model=m&API-KEY=one&authorization=bearer%20two&Authorization=Basic%20three&api-key="
    assert keys_of_upgrade(query, ["realtime", "openai-insecure-api-key.ek_4"]) == ["one", "two", "ek_4"]
    assert keys_of_upgrade(b"", ["openai-insecure-api-key."]) == []


@pytest.mark.parametrize(
    ("query", "seen"),
    [
        (b"model=a%20b&api-key=k", b"model=a+b"),
        (b"Authorization=Bearer%20k&intent=&model=m", b"intent=&model=m"),
        (b"model=a%20b", b"model=a%20b"),
        (b"", b""),
    ],
)
def test_a_query_is_seen_without_its_keys(query: bytes, seen: bytes) -> None:
    assert without_keys(query) == seen


@pytest.mark.parametrize(
    ("headers", "offered", "preview", "dialect"),
    [
        ({}, [], False, "ga"),
        ({"OpenAI-Beta": "assistants=v2, realtime=v1"}, [], False, "beta"),
        ({"OpenAI-Beta": "assistants=v2"}, [], False, "ga"),
        ({}, ["realtime", "openai-beta.realtime-v1"], False, "beta"),
        ({}, [], True, "undecided"),
        ({"OpenAI-Beta": "realtime=v1"}, [], True, "beta"),
    ],
)
def test_the_dialect_is_told_from_marks_and_from_the_url(
    headers: dict[str, str], offered: list[str], preview: bool, dialect: str
) -> None:
    assert read_upgrade({}, Headers(headers), offered, preview=preview).dialect == dialect


def test_where_the_beta_is_not_served_its_url_is_of_the_present_dialect() -> None:
    assert read_upgrade({}, NO_HEADERS, [], preview=True, beta_served=False).dialect == "ga"


def test_a_deployment_wins_over_a_model_where_there_are_deployments() -> None:
    query = {"deployment": "d", "model": "m"}
    assert read_upgrade(query, NO_HEADERS, [], preview=True).model == "d"
    assert read_upgrade(query, NO_HEADERS, [], preview=False).model == "m"
    assert read_upgrade({"model": ""}, NO_HEADERS, [], preview=False).model is None


def test_what_is_not_served_is_said() -> None:
    with pytest.raises(CallsNotServed):
        read_upgrade({"call_id": "rtc_1"}, NO_HEADERS, [], preview=False)
    with pytest.raises(InvalidValue):
        read_upgrade({"intent": "dancing"}, NO_HEADERS, [], preview=False)
    with pytest.raises(MissingParameter):
        need_model(None)
