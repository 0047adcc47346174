"""Structured logs: one JSON object a line on stderr. They carry ids and figures, never audio, text or keys."""

from __future__ import annotations

import logging
import sys
import time
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import orjson
from opentelemetry import trace

from antiphon.telemetry.told_errors import told_error

if TYPE_CHECKING:
    from types import TracebackType

_OWN = ("antiphon", "services", "__main__")
"""Loggers that never say what a caller has said."""
_LONGEST_FOREIGN = 300
_STANDARD = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName", "color_message"}


_CHATTY = ("opentelemetry.", "urllib3.")
"""Loggers that tell of a collector that is away at each try to reach it."""
_SELDOM_S = 60.0


class Seldom(logging.Filter):
    """Lets each place of the code in a chatty library log once a minute."""

    def __init__(self) -> None:
        super().__init__()
        self._next_s: dict[tuple[str, int], float] = {}

    def filter(self, record: logging.LogRecord) -> bool:
        """Tell whether to log it."""
        if not record.name.startswith(_CHATTY):
            return True
        place, now_s = (record.pathname, record.lineno), time.monotonic()
        if now_s < self._next_s.get(place, now_s):
            return False
        self._next_s[place] = now_s + _SELDOM_S
        return True


class JsonFormatter(logging.Formatter):
    """Formats a record and its `extra` fields as one line of JSON.

    Libraries may put anything into the further lines of a message, a task's exception with its words for one: only the
    first is told.
    """

    def __init__(self, service: str) -> None:
        super().__init__()
        self._service = service

    def format(self, record: logging.LogRecord) -> str:
        """Return the line."""
        line: dict[str, object] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "service": self._service,
            "logger": record.name,
            "message": record.getMessage() if is_own(record.name) else _first_line(record.getMessage()),
        }
        span = trace.get_current_span().get_span_context()
        if span.is_valid:
            line["trace_id"] = f"{span.trace_id:032x}"
            line["span_id"] = f"{span.span_id:016x}"
        line |= {key: value for key, value in vars(record).items() if key not in _STANDARD}
        if record.exc_info and record.exc_info[1] is not None:
            line["error"] = told_error(record.exc_info[1])
        return orjson.dumps(line, default=str).decode()


def configure_logging(service: str, *, level: str) -> None:
    """Send all logs of this process to stderr as JSON: its own from `level` on, those of libraries from WARNING on.

    At DEBUG, libraries tell headers, frames of sockets and parts of bodies.
    """
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonFormatter(service))
    handler.addFilter(Seldom())
    chosen = logging.getLevelNamesMapping().get(level.upper(), logging.INFO)
    logging.basicConfig(level=max(chosen, logging.WARNING), handlers=[handler], force=True)
    for name in _OWN:
        logging.getLogger(name).setLevel(chosen)
    logging.captureWarnings(True)
    sys.excepthook = _log_end


def is_own(name: str) -> bool:
    """Tell whether a logger is the platform's own."""
    return name.partition(".")[0] in _OWN


def _first_line(message: str) -> str:
    return message.partition("\n")[0][:_LONGEST_FOREIGN]


def _log_end(kind: type[BaseException], error: BaseException, traceback: TracebackType | None) -> None:
    """Log what ends the process, in place of a traceback with the words of the error."""
    logging.getLogger("antiphon").critical("the process ends", exc_info=error)
