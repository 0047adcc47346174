"""Language models for realtime sessions, spoken for by the quickest voice."""

from __future__ import annotations

from tests.contract.chat_models import UPSTREAM_KEY_ENV

ECHO = "rt-echo"
"""Answers `You said: …` at once."""
SLOW = "rt-slow"
"""The same, four words a second."""
LATE = "rt-late"
"""Thinks for three seconds before the same."""
ENDLESS = "rt-endless"
"""Talks for minutes."""
BROKEN = "rt-broken"
"""Breaks off."""

_SCRIPTED = {
    ECHO: "echo",
    SLOW: "echo+style-slow:250",
    LATE: "echo+fault-slow:3",
    ENDLESS: "style-slow:10+style-long:3000",
    BROKEN: "echo+fault-error:4",
}
_TIMEOUTS = "timeouts = { connect_s = 1.0, first_token_s = 6.0, next_token_s = 2.0, backoff_s = 0.05 }"


def realtime_models(*, upstream_url: str) -> str:
    """Return tables for a models file."""
    upstream = f'base_url = "{upstream_url}", api_key_env = "{UPSTREAM_KEY_ENV}"'
    return "".join(_table(name, f'{upstream}, model = "{told}", {_TIMEOUTS}') for name, told in _SCRIPTED.items())


def _table(name: str, options: str) -> str:
    told = f'engine = "upstream"\nkinds = ["respond"]\nspoken_by = "hibari"\noptions = {{ {options} }}'
    return f"[models.{name}]\n{told}\n\n"
