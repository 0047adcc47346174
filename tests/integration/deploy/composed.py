"""What Docker Compose makes of docker-compose.yml, asked of the real program. It needs no engine for that."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from tests.integration.deploy.manifests import ROOT, SERVICES

FILE = ROOT / "docker-compose.yml"
BIN = Path(sys.executable).parent
KEYS = {"ANTIPHON_API_KEYS": "sk-one"}
OURS = (*SERVICES, "transcriber-gpu", "translator-gpu", "weights", "tools")
"""Services whose images are built here."""

Service = dict[str, Any]


def compose(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run the program in an environment that has nothing but `environment`."""
    bare = {"PATH": os.environ["PATH"], "HOME": os.environ.get("HOME", "/")}
    # A developer's own .env is no matter here.
    options = ("--file", str(FILE), "--env-file", os.devnull)
    command = [str(BIN / "docker-compose"), *options, *arguments]
    return subprocess.run(command, env=bare | environment, capture_output=True, text=True, timeout=60, check=False)


def composed(*profiles: str, **environment: str) -> dict[str, Any]:
    """Return the file with everything filled in, for some profiles; `*` for all."""
    chosen = [word for profile in profiles for word in ("--profile", profile)]
    done = compose(*chosen, "config", "--format", "json", **(KEYS | environment))
    assert done.returncode == 0, done.stderr
    whole: dict[str, Any] = json.loads(done.stdout)
    return whole


def environment_of(service: Service) -> dict[str, str]:
    """Return the variables that a container gets from the file."""
    return {name: value for name, value in service.get("environment", {}).items() if value is not None}


def seconds_of(duration: str) -> float:
    """Return a duration such as `2m15s` in seconds."""
    total, number = 0.0, ""
    for character in duration.replace("ms", "x"):
        if character.isdigit() or character == ".":
            number += character
        else:
            total += float(number) * {"h": 3600, "m": 60, "s": 1, "x": 0.001}[character]
            number = ""
    return total
