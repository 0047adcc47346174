from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.ingest.errors_speech import UnsupportedFilter
from services.ingest.speech.filters import Property, parse_filter

pytestmark = pytest.mark.unit

PROPERTIES: dict[str, Property] = {"displayName": "text", "status": "text", "createdDateTime": "time"}
ROW: dict[str, Any] = {"displayName": "it's (mine)", "status": "Succeeded", "createdDateTime": 1_700_000_000}


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        ("status eq 'Succeeded'", True),
        ("status eq Succeeded", True),
        ("status ne 'Succeeded'", False),
        ("displayName eq 'it''s (mine)'", True),
        ("createdDateTime eq 2023-11-14T22:13:20Z", True),
        ("createdDateTime gt 2023-11-14T22:13:20Z", False),
        ("createdDateTime ge 2023-11-14T22:13:20Z and createdDateTime lt 2024-01-01T00:00:00Z", True),
        ("createdDateTime le '2023-11-14T22:13:19Z'", False),
        ("not status eq 'Failed'", True),
        ("not (status eq 'Failed' or status eq 'Succeeded')", False),
        ("status eq 'Failed' and status eq 'Failed' or status eq 'Succeeded'", True),
        ("status eq 'Failed' and (status eq 'Failed' or status eq 'Succeeded')", False),
        ("((status eq 'Succeeded'))", True),
    ],
)
def test_a_filter_says_what_it_says(expression: str, expected: bool) -> None:
    assert parse_filter(expression, PROPERTIES)(ROW) is expected


@pytest.mark.parametrize(
    "expression",
    [
        "size eq 1",
        "status",
        "status eq",
        "status is 'x'",
        "status gt 'a'",
        "status eq 'x",
        "status eq 'x' and",
        "status eq 'x' status eq 'y'",
        "(status eq 'x'",
        "status eq 'x')",
        "and",
        "'status' eq 'x'",
        "createdDateTime gt 'soon'",
        "not " * 200 + "status eq 'x'",
        "(" * 5000,
    ],
)
def test_what_cannot_be_read_is_refused(expression: str) -> None:
    with pytest.raises(UnsupportedFilter):
        parse_filter(expression, PROPERTIES)


@given(st.text(alphabet="()' abnotreqsu1é\n", max_size=60))
def test_any_text_is_a_filter_or_a_refusal(expression: str) -> None:
    try:
        predicate = parse_filter(expression, PROPERTIES)
    except UnsupportedFilter:
        return
    assert predicate(ROW) in (True, False)


@given(st.text())
def test_any_name_can_be_asked_for(name: str) -> None:
    quoted = name.replace("'", "''")
    assert parse_filter(f"displayName eq '{quoted}'", PROPERTIES)(ROW | {"displayName": name})
