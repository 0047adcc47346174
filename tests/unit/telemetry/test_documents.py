"""The page that names the metrics names those that there are."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from prometheus_client import Counter
from prometheus_client.metrics import MetricWrapperBase

from antiphon.telemetry import instruments

pytestmark = pytest.mark.unit

PAGE = Path(__file__).parents[3] / "docs" / "observability.md"
ROW = re.compile(r"^\| `(\w+)` \| (counter|gauge|histogram) \|([^|]*)\| ", re.MULTILINE)


def test_the_table_names_every_metric_with_its_kind_and_labels() -> None:
    told = {name: (kind, tuple(re.findall(r"`(\w+)`", labels))) for name, kind, labels in ROW.findall(PAGE.read_text())}
    there = {
        each._name + ("_total" if isinstance(each, Counter) else ""): (each._type, tuple(each._labelnames))
        for each in vars(instruments).values()
        if isinstance(each, MetricWrapperBase)
    }
    assert told == there
