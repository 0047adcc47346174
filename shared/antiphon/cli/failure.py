"""How a command ends that cannot go on."""

from __future__ import annotations

import sys
from typing import NoReturn


class CommandFailed(Exception):
    """The command cannot go on; the message is one line for the user."""


def fail(message: str, *, code: int = 1) -> NoReturn:
    """Print one line on stderr and leave with `code`."""
    print(f"antiphon: {' '.join(message.split())}", file=sys.stderr)
    raise SystemExit(code)
