"""Who puts jobs on the bus installs little and waits for nothing."""

from __future__ import annotations

import subprocess
import sys

import pytest

pytestmark = pytest.mark.unit

HEAVY = (
    "faststream",
    "fast_depends",
    "obstore",
    "httpx",
    "openai",
    "numpy",
    "av",
    "uvloop",
    "typer",
    "rich",
    "fastapi",
)


def loaded_after(statement: str) -> set[str]:
    program = f"import sys\n{statement}\nprint(*{{name.partition('.')[0] for name in sys.modules}})"
    return set(
        subprocess.run([sys.executable, "-c", program], check=True, capture_output=True, text=True).stdout.split()
    )


def test_a_producer_needs_only_the_base_of_the_library() -> None:
    loaded = loaded_after("from antiphon import Producer, SyncProducer; import antiphon.schemas, antiphon.documents")
    assert loaded.isdisjoint(HEAVY)
    assert {"antiphon", "redis", "pydantic"} <= loaded


def test_the_name_alone_costs_nothing() -> None:
    assert loaded_after("import antiphon").isdisjoint({*HEAVY, "redis", "pydantic"})


def test_a_name_that_is_not_there_is_refused_as_usual() -> None:
    import antiphon

    with pytest.raises(AttributeError, match="has no attribute 'Consumer'"):
        _ = antiphon.Consumer
