"""One server program for the parts of realtime: what the others do differently concerns the bus alone."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.servers import programs


@pytest.fixture(scope="session")
def server_program() -> Path:
    """The program of every server here."""
    return programs()["valkey"]
