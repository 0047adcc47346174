"""What a query of Prometheus asks for: the metrics and labels it names, and whether they are ours."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cache

from prometheus_client.metrics import MetricWrapperBase

from antiphon.telemetry import instruments

_SUFFIXES = {"counter": ("_total",), "gauge": ("",), "histogram": ("_bucket", "_sum", "_count")}
_TARGET = {"service", "instance", "job"}
"""Labels that Prometheus puts on whatever it reads."""
_PROCESS = ("up", "process_cpu_seconds_total", "process_resident_memory_bytes", "process_start_time_seconds")
"""What every process tells by itself, and what Prometheus says of it."""
_WORDS = {"by", "on", "without", "ignoring", "and", "or", "unless", "offset", "bool", "group_left", "group_right"}
_STRING = re.compile(r'"(?:[^"\\]|\\.)*"')
_SELECTOR = re.compile(r"(\w+)?\s*\{([^}]*)\}")
_GROUPING = re.compile(r"\b(?:by|on|without|ignoring|group_left|group_right)\s*\(([^)]*)\)")
_DURATION = re.compile(r"\[[^\]]*\]|\boffset\s+\w+")
_MATCHER = re.compile(r"(\w+)\s*(?:=~|!~|!=|=)\s*'([^']*)'")
_NAME = re.compile(r"\b([a-zA-Z_:][\w:]*)\b(?!\s*\()")


@dataclass
class Query:
    """The names in one expression."""

    metrics: set[str] = field(default_factory=set)
    matchers: list[tuple[str, str, str]] = field(default_factory=list)
    """Metric, label, value."""
    grouped: set[str] = field(default_factory=set)
    """Labels that results are grouped or joined by."""


@cache
def known_metrics() -> dict[str, set[str]]:
    """Return the series that the platform's processes tell, each with its labels."""
    known = {name: set(_TARGET) for name in _PROCESS}
    for metric in vars(instruments).values():
        if isinstance(metric, MetricWrapperBase):
            [family] = metric.describe()
            for suffix in _SUFFIXES[family.type]:
                labels = {*metric._labelnames, *_TARGET} | ({"le"} if suffix == "_bucket" else set())
                known[f"{family.name}{suffix}"] = labels
    return known


def read_query(expression: str) -> Query:
    """Return the names in an expression. Its syntax is Prometheus's to check."""
    query = Query()
    text = expression.replace("'", "")
    # Braces and names within strings are none.
    text = _STRING.sub(lambda string: "'" + re.sub(r"[{}()\[\]']", "_", string[0][1:-1]) + "'", text)
    for grouping in _GROUPING.finditer(text):
        query.grouped |= {label.strip() for label in grouping[1].split(",") if label.strip()}
    text = _GROUPING.sub(" ", text)
    for selector in _SELECTOR.finditer(text):
        assert selector[1], f"a selector names no metric: {selector[0]}"
        query.metrics.add(selector[1])
        query.matchers += [(selector[1], label, value) for label, value in _MATCHER.findall(selector[2])]
    text = _DURATION.sub(" ", _SELECTOR.sub(" ", text))
    query.metrics |= {name for name in _NAME.findall(re.sub(r"'[^']*'", " ", text)) if name not in _WORDS}
    return query


def faults_of(expression: str) -> Iterator[str]:
    """Yield what an expression asks for that nobody tells."""
    known, query = known_metrics(), read_query(expression)
    if unknown := query.metrics - set(known):
        yield f"no such metrics: {sorted(unknown)}"
        return
    for metric, label, _ in query.matchers:
        if label not in known[metric]:
            yield f"{metric} has no label {label}"
    if unknown := query.grouped - set[str]().union(*(known[metric] for metric in query.metrics)):
        yield f"none of its metrics has the labels {sorted(unknown)}"
