"""The `antiphon` command.

Each command imports what it needs when it runs: the help, and shell completion, answer at once.
"""

from __future__ import annotations


def main() -> None:
    """Run the command line."""
    from antiphon.cli.app import app  # noqa: PLC0415 - importing the package costs nothing

    app()
