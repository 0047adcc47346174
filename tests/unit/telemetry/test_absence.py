"""An absence of the server is told in a few lines, however many tries fail."""

from __future__ import annotations

import logging

import pytest

from antiphon.bus.absence import Absence
from antiphon.telemetry.logs import Seldom

pytestmark = pytest.mark.unit


def test_a_thousand_failures_are_one_line_and_the_return_is_another(caplog: pytest.LogCaptureFixture) -> None:
    absence = Absence()
    with caplog.at_level(logging.INFO):
        for _ in range(1_000):
            absence.note(ConnectionError("refused"))
        assert absence.seconds() > 0
        for _ in range(1_000):
            absence.over()
    assert [record.getMessage() for record in caplog.records] == ["the server is away", "the server is back"]
    assert absence.seconds() == 0


def test_a_server_that_comes_and_goes_does_not_fill_the_log(caplog: pytest.LogCaptureFixture) -> None:
    absence = Absence()
    with caplog.at_level(logging.INFO):
        for _ in range(1_000):
            absence.note(ConnectionError("refused"))
            absence.over()
    assert len(caplog.records) == 2


def test_what_a_library_says_at_each_try_is_logged_once_a_minute() -> None:
    def record(name: str, line: int) -> logging.LogRecord:
        return logging.LogRecord(name, logging.WARNING, "exporter.py", line, "no collector", (), None)

    seldom = Seldom()
    told = [seldom.filter(record("opentelemetry.exporter", 1)) for _ in range(100)]
    assert told.count(True) == 1
    assert seldom.filter(record("opentelemetry.exporter", 2)), "another line of the code is another trouble"
    assert all(seldom.filter(record("antiphon.bus", 1)) for _ in range(100)), "our own lines are all told"
