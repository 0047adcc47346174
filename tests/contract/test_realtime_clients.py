"""Clients that others have written, from environments of their own."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from tests.contract.chat_talk import misheard
from tests.contract.conftest import Served
from tests.contract.realtime_models import ECHO
from tests.contract.realtime_sounds import speech
from tests.environments import node_environment, python_environment
from tests.realtime_events import check_event
from tests.tools import find_node

# The first time, their environments are installed.
pytestmark = [pytest.mark.contract, pytest.mark.timeout(600), pytest.mark.usefixtures("upstream")]

ROOT = Path(__file__).parents[2]
CLIENTS = ROOT / "tests" / "clients"
LOCKS = ROOT / "requirements" / "clients"
CONFORMANCE = Path(os.environ.get("ANTIPHON_TEST_CONFORMANCE", ROOT.parent / "shared" / "conformance"))
"""A folder with scripts that drive clients against a server and say how many of their cases passed."""
WITHIN_S = 150.0
OLDEST_NODE = 22


@pytest.fixture(scope="session")
def beta_python() -> Path:
    return python_environment(LOCKS / "beta.lock") / "python"


@pytest.fixture(scope="session")
def voice_python() -> Path:
    return python_environment(LOCKS / "voice.lock") / "python"


@pytest.fixture(scope="session")
def node_modules() -> Path:
    return node_environment(find_node(oldest=OLDEST_NODE), CLIENTS / "node")


@pytest.fixture
def orders(platform: Served, clips: Path, tmp_path: Path) -> dict[str, str]:
    """What a script is told."""
    sound = tmp_path / "hello.pcm"
    sound.write_bytes(speech(clips / "en/hello_world.wav"))
    return {"BASE_URL": platform.base_url, "API_KEY": platform.api_key, "MODEL": ECHO, "SOUND": str(sound)}


def seen_by(interpreter: Path, script: Path, orders: Mapping[str, str]) -> dict[str, Any]:
    """Return what a script prints at its end."""
    said = run(interpreter, script, orders)
    assert said.returncode == 0, said.stdout + said.stderr
    seen: dict[str, Any] = json.loads(said.stdout.splitlines()[-1])
    return seen


def run(interpreter: Path, script: Path, orders: Mapping[str, str]) -> subprocess.CompletedProcess[str]:
    """Run a script to its end, with nothing of this process's own packages."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "OPENAI"))}
    return subprocess.run(
        [interpreter, script],
        env={**environment, **orders},
        capture_output=True,
        text=True,
        timeout=WITHIN_S,
        check=False,
    )


def test_the_beta_of_an_old_sdk(beta_python: Path, orders: dict[str, str]) -> None:
    seen = seen_by(beta_python, CLIENTS / "beta_talk.py", orders)
    assert seen["version"].startswith("1.99.")
    events = seen["events"]
    for event in events:
        check_event(event, dialect="beta")
    assert not [event for event in events if event["type"] == "error"]
    written, spoken = [event["response"] for event in events if event["type"] == "response.done"]
    assert written["output"][0]["content"] == [{"type": "text", "text": "You said: Hello from the beta."}]
    assert misheard("You said: Hello world.", spoken["output"][0]["content"][0]["transcript"]) == 0
    assert sum(event["type"] == "response.audio.delta" for event in events) > 0


def test_openai_agents(voice_python: Path, orders: dict[str, str]) -> None:
    seen = seen_by(voice_python, CLIENTS / "agents_talk.py", orders)
    assert seen["errors"] == []
    assert seen["spoken_bytes"] > 20_000
    assert len(seen["called"]) == 1
    assert misheard("Hello world.", seen["transcripts"][0]) == 0
    assert {"audio", "audio_end", "tool_start", "tool_end", "history_updated"} <= set(seen["kinds"])


def test_pipecat(voice_python: Path, orders: dict[str, str]) -> None:
    seen = seen_by(voice_python, CLIENTS / "pipecat_talk.py", orders)
    assert misheard("You said: Hello from the pipeline.", seen["said"]) == 0
    assert min(seen["told_bytes"], seen["heard_bytes"]) > 20_000
    assert misheard("Hello world.", seen["words"]) == 0


def test_openai_agents_for_javascript(node_modules: Path, orders: dict[str, str]) -> None:
    node = find_node(oldest=OLDEST_NODE).node
    seen = seen_by(node, CLIENTS / "node" / "agents_talk.mjs", {**orders, "NODE_MODULES": str(node_modules)})
    # It tells by the clock how much was heard, which may be more than there is.
    assert [error for error in seen["errors"] if "already shorter" not in error] == []
    assert seen["secret"] == "ek_"
    assert seen["spokenBytes"] > 20_000
    assert len(seen["called"]) == 1
    assert seen["interrupted"] == "cancelled"
    assert misheard("Hello world.", seen["transcript"]) == 0
    assert seen["answers"][0] == "You said: Hello there."
    assert any("The function says: sunny" in answer for answer in seen["answers"])


FIRST_UPDATE = "connect_and_session_update"
"""A case that takes the first `session.updated` for that of its own settings: where `session.created` is there as soon
as the connection, the SDK sends `tracing` before them."""


@pytest.mark.skipif(not CONFORMANCE.is_dir(), reason="there are no scripts of others")
@pytest.mark.parametrize("script", ["agents_py.py", "pipecat_run.py", "agents_realtime.mjs", "openai_node.mjs"])
def test_scripts_of_others(script: str, voice_python: Path, node_modules: Path, platform: Served) -> None:
    told = {
        "BASE_URL": platform.base_url,
        "API_KEY": platform.api_key,
        "RT_MODEL": ECHO,
        "AUDIO": str(CONFORMANCE.parent / "speech"),
        "NODE_MODULES": str(node_modules),
        "OPENAI_PKG": "openai",
        # What takes a model that understands is for real ones.
        "SEMANTIC": "0",
        "ONLY": "realtime" if script in ("openai_node.mjs", "pipecat_run.py") else "",
        "TIMEOUT": "60",
    }
    interpreter = find_node(oldest=OLDEST_NODE).node if script.endswith(".mjs") else voice_python
    said = run(interpreter, CONFORMANCE / script, told)
    if f"1 failed: {FIRST_UPDATE}" in said.stdout:
        said = run(interpreter, CONFORMANCE / script, {**told, "ONLY": FIRST_UPDATE})
    assert said.returncode == 0, said.stdout + said.stderr
    assert ", 0 failed" in said.stdout
