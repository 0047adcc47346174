"""A process that cannot start says why in one line, and whether to try again."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.integration

SERVICES = ("ingest", "transcriber", "translator", "synthesizer", "responder", "realtime")
WORKERS = SERVICES[1:]


def start(service: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", f"services.{service}"],
        env=os.environ | {"ANTIPHON_API_KEYS": "sk-x"} | environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


@pytest.mark.parametrize("service", WORKERS)
def test_a_worker_without_its_server_may_be_tried_again(service: str, tmp_path: Path) -> None:
    ended = start(service, REDIS_URL=f"unix://{tmp_path}/nobody")
    assert ended.returncode == 75
    assert ended.stderr.splitlines()[-1].startswith(f"{service} cannot start: ")


@pytest.mark.parametrize("service", SERVICES)
def test_a_wrong_setting_is_named_and_not_tried_again(service: str) -> None:
    name, value = ("PORT", "0x") if service == "ingest" else ("THREADS", "none")
    ended = start(service, **{f"ANTIPHON_{name}": value})
    assert ended.returncode == 78
    (line,) = ended.stderr.splitlines()
    assert line.startswith(f"cannot start: ANTIPHON_{name}: ")
