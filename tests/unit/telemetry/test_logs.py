"""What a log line tells, and what it keeps to itself."""

from __future__ import annotations

import json
import logging
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from opentelemetry import trace
from pydantic import BaseModel, ValidationError

from antiphon.telemetry.logs import JsonFormatter
from antiphon.telemetry.told_errors import told_error

pytestmark = pytest.mark.unit

ROOT = Path(__file__).parents[3]
CANARY = "canary-4711"


class Order(BaseModel):
    """Something with a number in it."""

    number: int


def line(name: str, message: str, *, error: BaseException | None = None, **extra: Any) -> dict[str, Any]:
    record = logging.LogRecord(name, logging.ERROR, __file__, 1, message, None, None)
    record.exc_info = (type(error), error, error.__traceback__) if error else None
    vars(record).update(extra)
    found: dict[str, Any] = json.loads(JsonFormatter("test").format(record))
    return found


def fail() -> None:
    """Raise an error with causes and companions, all of which repeat what was said."""
    try:
        Order.model_validate({"number": CANARY})
    except ValidationError as wrong:
        raise ExceptionGroup(CANARY, [RuntimeError(CANARY), OSError(2, "No such file", CANARY)]) from wrong


def test_an_error_is_told_by_kind_and_place_with_all_that_led_to_it() -> None:
    with pytest.raises(ExceptionGroup) as caught:
        fail()
    told = line("antiphon.bus", "a handler failed", error=caught.value)["error"]
    for kind in ("ExceptionGroup", "RuntimeError", "FileNotFoundError: No such file", "ValidationError"):
        assert kind in told
    assert "test_logs.py" in told
    assert "in fail" in told
    assert CANARY not in told


def test_an_error_that_leads_to_itself_is_told_once() -> None:
    first, second = ValueError(CANARY), KeyError(CANARY)
    first.__cause__, second.__cause__ = second, first
    assert told_error(first).splitlines() == ["builtins.ValueError", "builtins.KeyError"]


def test_a_line_within_a_span_knows_its_trace() -> None:
    span = trace.NonRecordingSpan(trace.SpanContext(0xABC, 0xDEF, is_remote=False))
    with trace.use_span(span):
        found = line("services.realtime", "a turn cannot be judged", session="sess_1")
    assert (found["trace_id"], found["span_id"]) == (f"{0xABC:032x}", f"{0xDEF:016x}")
    assert found["session"] == "sess_1"
    assert "trace_id" not in line("services.realtime", "ready")


def test_of_what_a_library_says_only_the_first_line_is_told() -> None:
    said = f"Task exception was never retrieved\nfuture: <Task exception=ValueError('{CANARY}')>"
    assert line("asyncio", said)["message"] == "Task exception was never retrieved"
    assert line("antiphon.cli", "two\nlines")["message"] == "two\nlines"


def test_at_debug_libraries_are_not_heard_and_everything_is_json_to_the_very_end() -> None:
    program = f"""
import logging, warnings
from antiphon.telemetry import configure_logging
configure_logging("test", level="debug")
logging.getLogger("websockets.server").debug("< TEXT '{CANARY}'")
logging.getLogger("httpcore.http11").info("{CANARY}")
logging.getLogger("services.ingest").debug("heard")
logging.getLogger("uvicorn.error").warning("Invalid HTTP request received.")
warnings.warn("old\\n{CANARY}", stacklevel=1)
raise ValueError("{CANARY}")
"""
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 1
    lines = [json.loads(line) for line in done.stderr.splitlines()]
    assert [line["message"] for line in lines[:2]] == ["heard", "Invalid HTTP request received."]
    assert (lines[2]["logger"], lines[-1]["message"]) == ("py.warnings", "the process ends")
    assert lines[-1]["error"].startswith("builtins.ValueError")
    assert CANARY not in done.stderr
