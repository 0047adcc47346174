"""What a host says about coming back."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from antiphon.egress.replies import read_headers, retry_after_s

pytestmark = pytest.mark.unit

NOW = datetime(2026, 1, 1, 12, 0, 0, tzinfo=UTC)


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        ("0", 0),
        (" 120 ", 120),
        ("Thu, 01 Jan 2026 12:01:30 GMT", 90),
        ("Thu, 01 Jan 2026 12:01:30 -0000", 90),
        ("Thu, 01 Jan 2026 11:00:00 GMT", 0),
        ("", None),
        ("soon", None),
        ("-5", None),
        ("1.5", None),
        ("²", None),
        ("Thu, 99 Jan 2026 12:00:00 GMT", None),
    ],
)
def test_retry_after_is_seconds_or_a_date(value: str, seconds: float | None) -> None:
    assert retry_after_s({"retry-after": value}, now=NOW) == seconds


def test_a_wait_beyond_all_measure_is_still_a_number() -> None:
    asked_s = retry_after_s({"retry-after": "9" * 5000}, now=NOW)
    assert asked_s is not None
    assert asked_s < 1e13


def test_headers_are_found_in_small_letters_and_joined() -> None:
    assert read_headers([(b"X-A", b"1"), (b"x-a", b"2"), (b"B", b"\xff")]) == {"x-a": "1, 2", "b": "\xff"}
