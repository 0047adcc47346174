"""What a server's failures mean for the caller."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from antiphon.errors import (
    AntiphonError,
    ContentTooLarge,
    ContextTooLong,
    InvalidRequest,
    InvalidValue,
    ModelNotFound,
    Overloaded,
    Unavailable,
    UnsupportedValue,
    UpstreamFailed,
)
from services.responder.engines.upstream_errors import (
    LONGEST_MESSAGE,
    Blame,
    ContentFiltered,
    Failed,
    UpstreamRefused,
    read_pause_s,
    read_wait_s,
    secrets_of,
)

pytestmark = pytest.mark.unit

NOW = datetime(2026, 3, 1, 12, 0, 0, tzinfo=UTC)
KEY = "sk-0123456789abcdef"
BLAME = Blame("my-llm", (KEY,))


def refused(status: int, body: Any = None, **headers: str) -> Failed:
    """Return what an answer means."""
    return BLAME.refused(status, {name.replace("_", "-"): value for name, value in headers.items()}, body, now=NOW)


def openai_error(message: str = "Wrong.", **rest: Any) -> dict[str, Any]:
    """Return an error body of OpenAI's shape."""
    return {"error": {"message": message, "type": "invalid_request_error", "param": None, "code": None} | rest}


@pytest.mark.parametrize(
    ("status", "body", "kind", "again"),
    [
        (400, openai_error(), InvalidRequest, False),
        (400, openai_error(code="invalid_value"), InvalidValue, False),
        (400, openai_error(code="unsupported_value"), UnsupportedValue, False),
        (400, openai_error(code="context_length_exceeded"), ContextTooLong, False),
        (
            400,
            {"object": "error", "message": "The maximum context length is 8 tokens."},
            ContextTooLong,
            False,
        ),
        (400, openai_error("too long", type="exceed_context_size_error"), ContextTooLong, False),
        (400, openai_error(code="content_filter", status=400), ContentFiltered, False),
        (400, {"error": "invalid message"}, InvalidRequest, False),
        (400, None, InvalidRequest, False),
        (401, openai_error(), UpstreamRefused, False),
        (402, None, UpstreamRefused, False),
        (403, None, UpstreamRefused, False),
        (404, openai_error("The model `x` does not exist."), ModelNotFound, False),
        (404, {"error": {"code": "DeploymentNotFound", "message": "It does not exist."}}, ModelNotFound, False),
        (404, {"detail": "Not Found"}, UpstreamRefused, False),
        (404, None, UpstreamRefused, False),
        (405, None, UpstreamRefused, False),
        (408, None, Unavailable, True),
        (409, None, Unavailable, True),
        (413, openai_error("Too much."), ContentTooLarge, False),
        (422, {"detail": [{"loc": ["body", "messages"], "msg": "Field required"}]}, InvalidRequest, False),
        (429, openai_error(), Overloaded, True),
        (429, openai_error(code="insufficient_quota"), Overloaded, False),
        (500, None, Unavailable, True),
        (502, "<html>", Unavailable, True),
        (503, openai_error(), Unavailable, True),
        (529, {"error": {"type": "overloaded_error", "message": "Overloaded"}}, Unavailable, True),
        (302, None, UpstreamRefused, False),
    ],
)
def test_every_status_has_its_meaning(status: int, body: Any, kind: type[AntiphonError], again: bool) -> None:
    failed = refused(status, body)
    assert type(failed.error) is kind
    assert failed.again is again


def test_the_servers_own_words_and_place_are_passed_on() -> None:
    error = refused(400, openai_error("Bad  temperature.\n", param="temperature", code="invalid_value")).error
    assert (error.message, error.param) == ("Bad temperature.", "temperature")
    error = refused(422, {"detail": [{"loc": ["body", "messages", 0], "msg": "Field required"}]}).error
    assert (error.message, error.param, error.http_status) == ("Field required", "messages.0", 400)


@pytest.mark.parametrize("status", [400, 404, 413, 422, 429, 500])
def test_words_are_bounded_and_never_hold_the_key(status: int) -> None:
    error = refused(status, openai_error(f"The model with {KEY} " + 10_000 * "x", param=KEY)).error
    assert len(error.message) <= LONGEST_MESSAGE + 1
    assert KEY not in f"{error.message} {error.param}"


def test_a_key_that_is_not_accepted_is_not_the_callers() -> None:
    for status in (401, 403):
        error = refused(status, openai_error(f"Incorrect API key provided: {KEY[:6]}***.")).error
        assert (error.http_status, error.code, error.retryable) == (502, "upstream_error", False)
        assert KEY[:6] not in error.message


def test_headers_that_the_operator_set_are_secrets_too() -> None:
    assert secrets_of("short", ["v1", "a-longer-value"]) == ("a-longer-value", "short")


@pytest.mark.parametrize(("word", "again"), [("true", True), ("false", False)])
@pytest.mark.parametrize("status", [400, 429, 500])
def test_a_server_that_knows_better_is_believed(status: int, word: str, again: bool) -> None:
    assert refused(status, x_should_retry=word).again is again


@pytest.mark.parametrize(
    ("headers", "wait_s"),
    [
        ({}, None),
        ({"retry-after-ms": "1500", "retry-after": "9"}, 1.5),
        ({"retry-after-ms": "soon", "retry-after": "9"}, 9.0),
        ({"retry-after-ms": "nan"}, None),
        ({"retry-after-ms": "-1"}, None),
        ({"retry-after": "Sun, 01 Mar 2026 12:00:07 GMT"}, 7.0),
        ({"retry-after": "Sun, 01 Mar 2026 11:00:00 GMT"}, 0.0),
        ({"retry-after": "later"}, None),
    ],
)
def test_the_wait_is_read_in_every_form(headers: dict[str, str], wait_s: float | None) -> None:
    assert read_wait_s(headers, now=NOW) == wait_s


def test_a_short_wait_is_waited_and_a_long_one_is_told() -> None:
    failed = refused(429, retry_after="3")
    assert read_pause_s(failed, retry=0, backoff_s=0.5, jitter=1.0) == 3.0
    failed = refused(429, retry_after="30")
    assert read_pause_s(failed, retry=0, backoff_s=0.5, jitter=0.0) is None
    assert failed.error.retry_after_s == 30.0
    assert refused(503, retry_after="30").error.retry_after_s == 30.0


@given(retry=st.integers(0, 9), backoff_s=st.floats(0.01, 100), jitter=st.floats(0, 1))
def test_there_are_two_more_attempts_and_never_8_seconds_between(retry: int, backoff_s: float, jitter: float) -> None:
    pause_s = read_pause_s(refused(500), retry=retry, backoff_s=backoff_s, jitter=jitter)
    if retry >= 2:
        assert pause_s is None
    else:
        assert pause_s is not None
        assert min(backoff_s * 2**retry, 8.0) * 0.75 <= pause_s <= 8.0
    assert read_pause_s(refused(400), retry=retry, backoff_s=backoff_s, jitter=jitter) is None


@pytest.mark.parametrize(
    ("body", "kind", "again"),
    [
        (openai_error("Rate limit.", code="rate_limit_exceeded"), Overloaded, True),
        (openai_error("Paid out.", code="insufficient_quota"), Overloaded, False),
        (openai_error("Dead.", type="server_error"), Unavailable, True),
        ({"error": {"message": "Dead.", "code": 503}}, Unavailable, True),
        ({"error": {"message": "Too long.", "code": 400, "type": "BadRequestError"}}, InvalidRequest, False),
        (
            {"object": "error", "message": "context length", "type": "x", "code": 400},
            ContextTooLong,
            False,
        ),
        ({"error": {"message": "Filtered.", "code": "content_filter"}}, ContentFiltered, False),
        ({"error": "out of memory"}, UpstreamFailed, False),
        ({"error": {"message": 7, "code": 12, "type": []}}, UpstreamFailed, False),
        ({"error": [1]}, UpstreamFailed, False),
    ],
)
def test_an_error_in_mid_stream_has_its_meaning(body: Any, kind: type[AntiphonError], again: bool) -> None:
    failed = BLAME.complained(body)
    assert type(failed.error) is kind
    assert failed.again is again


def test_an_error_in_mid_stream_never_holds_the_key() -> None:
    assert KEY not in BLAME.complained({"error": f"lost {KEY}"}).error.message


WORDS = st.sampled_from(["error", "message", "detail", "code", "type", "param", "status", "loc", "msg"])
JSON: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(WORDS, inner, max_size=5),
    max_leaves=12,
)


@given(status=st.integers(300, 599), body=JSON)
def test_no_body_is_too_strange(status: int, body: Any) -> None:
    assert refused(status, body).error.message
    assert BLAME.complained(body).error.message
