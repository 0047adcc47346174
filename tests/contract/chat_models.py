"""Language models for the contract tests: a small real one, a scripted server, and the platform itself as a server."""

from __future__ import annotations

LOCAL = "qwen2.5-coder-0.5b"
ECHO = "up-echo"
PEER = "peer"
"""Another door of the platform, which takes and gives text."""
VOCAL_PEER = "peer-vocal"
"""The same as a server that hears and speaks itself."""

UPSTREAM_KEY_ENV, UPSTREAM_KEY = "CONTRACT_UPSTREAM_KEY", "sk-upstream-0123456789"
PEER_KEY_ENV = "CONTRACT_PEER_KEY"

SCRIPTED = {
    ECHO: "echo",
    "up-slow": "echo+style-slow:60",
    "up-slower": "echo+style-slow:500",
    "up-endless": "style-slow:25+style-long:4000",
    "up-hears": "echo",
    "up-vocal-long": "style-long:3000",
    "up-cut": "echo+fault-cut:4",
    "up-silent": "echo+fault-silent:4",
    "up-error": "echo+fault-error:4",
    "up-late": "echo+fault-slow:60",
    "up-malformed": "echo+fault-malformed:0",
    "up-500": "echo+fault-status:500",
    "up-429": "echo+fault-429",
    "up-401": "echo+fault-401",
}
"""Public names, and what the scripted server is told by the name of its model."""
_ABILITIES = {"up-hears": "hears = true, ", "up-vocal-long": "hears = true, speaks = true, "}
_TIMEOUTS = "timeouts = { connect_s = 1.0, first_token_s = 2.0, next_token_s = 1.0, backoff_s = 0.05 }"


def models_file(*, upstream_url: str, peer_url: str, nowhere_url: str) -> str:
    """Return a models file with all of them; nobody listens at `nowhere_url`."""
    upstream = f'base_url = "{upstream_url}", api_key_env = "{UPSTREAM_KEY_ENV}"'
    peer = f'base_url = "{peer_url}", api_key_env = "{PEER_KEY_ENV}"'
    tables = [
        _table(name, f'{upstream}, model = "{told}", {_ABILITIES.get(name, "")}{_TIMEOUTS}')
        for name, told in SCRIPTED.items()
    ]
    tables.append(_table("up-down", f'base_url = "{nowhere_url}", {_TIMEOUTS}'))
    tables.append(_table(PEER, f'{peer}, model = "{LOCAL}"'))
    tables.append(_table(VOCAL_PEER, f'{peer}, model = "{ECHO}", hears = true, speaks = true'))
    return f"""
[defaults]
respond = "{LOCAL}"

[deployments]
"my whisper" = "whisper-1"
"my voice" = "tts-1"
"my talk" = "{ECHO}"

{"".join(tables)}"""


def _table(name: str, options: str) -> str:
    return f'[models.{name}]\nengine = "upstream"\nkinds = ["respond"]\noptions = {{ {options} }}\n\n'
