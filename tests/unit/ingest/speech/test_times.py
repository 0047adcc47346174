from __future__ import annotations

import re
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter

from services.ingest.speech.times import (
    TICKS_PER_S,
    milliseconds_of,
    read_duration,
    read_time,
    ticks_of,
    write_duration,
    write_time,
)

pytestmark = pytest.mark.unit

ISO = TypeAdapter(timedelta)
ticks = st.integers(min_value=0, max_value=10**15)


@given(ticks)
def test_a_duration_is_read_as_it_was_written(value: int) -> None:
    assert read_duration(write_duration(value)) == value


@given(ticks)
def test_a_duration_means_the_same_to_another_reader(value: int) -> None:
    # That one counts microseconds.
    assert abs(ISO.validate_python(write_duration(value)) - timedelta(microseconds=value / 10)) <= timedelta(
        microseconds=1
    )


@given(ticks)
def test_a_duration_has_no_part_that_says_nothing(value: int) -> None:
    text = write_duration(value)
    assert re.fullmatch(r"PT(\d+H)?(\d+M)?(\d+(\.\d*[1-9])?S)?", text)
    assert text == "PT0S" or not re.search(r"(?<!\d)0[HMS]", text)


@given(st.floats(min_value=0, max_value=1e6))
def test_milliseconds_and_ticks_are_of_the_same_moment(seconds: float) -> None:
    assert abs(milliseconds_of(ticks_of(seconds)) - seconds * 1000) <= 0.51


@pytest.mark.parametrize(
    "text", ["", "P", "PT", "P1", "1H", "PT1X", "P1Y", "PT-1S", "P1W", "PT" + "1" * 99 + "S", "P1DT"]
)
def test_what_is_no_duration_is_none(text: str) -> None:
    assert read_duration(text) is None


def test_days_are_read() -> None:
    assert read_duration("P31D") == 31 * 86_400 * TICKS_PER_S
    assert read_duration("P1DT12H") == 36 * 3600 * TICKS_PER_S


def test_times_are_read_in_the_ways_they_are_written() -> None:
    assert read_time("2023-11-14T22:13:20Z") == 1_700_000_000
    assert read_time("2023-11-15T00:13:20+02:00") == 1_700_000_000
    assert read_time("2023-11-14T22:13:20") == 1_700_000_000
    assert read_time(write_time(1_700_000_000_000)) == 1_700_000_000
    assert read_time("yesterday") is None
