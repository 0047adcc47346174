"""How commands show what they found: a table for people, one JSON document for programs."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence

from rich.console import Console
from rich.table import Table
from rich.text import Text

PIPE_WIDTH = 20_000


def make_table(
    heads: Sequence[str], rows: Sequence[Sequence[str]], *, numbers: Sequence[str] = (), elastic: str | None = None
) -> Table:
    """Return a table with one line a row. Where the terminal is narrow, the column `elastic` is shortened first."""
    table = Table(box=None, pad_edge=False)
    for head in heads:
        # Rich shortens first what it may wrap; the text itself then stays on one line all the same.
        table.add_column(head, justify="right" if head in numbers else "left", no_wrap=head != elastic)
    for row in rows:
        # What others wrote is no markup.
        table.add_row(*(Text(" ".join(cell.split()), no_wrap=True, overflow="ellipsis") for cell in row))
    return table


def console() -> Console:
    """Return where tables are shown. Nothing is shortened for whoever reads them by a program."""
    found = Console(highlight=False)
    return found if found.is_terminal else Console(highlight=False, width=PIPE_WIDTH)


def print_pairs(pairs: Mapping[str, object]) -> None:
    """Print a line for each name with a value."""
    known = {name: value for name, value in pairs.items() if value is not None and value != ""}
    width = max(map(len, known), default=0)
    for name, value in known.items():
        print(f"{name:<{width}}  {json.dumps(value, ensure_ascii=False) if isinstance(value, dict) else value}")


def print_json(value: object) -> None:
    """Print one JSON document."""
    print(json.dumps(value, indent=2, ensure_ascii=False))


def say_seconds(seconds: float | None) -> str:
    """Return a length of time in words, to about two digits; nothing for None."""
    if seconds is None:
        return ""
    if seconds < 10:
        return f"{seconds:.1f} s"
    if seconds < 120:
        return f"{seconds:.0f} s"
    if seconds < 2 * 3600:
        return f"{seconds / 60:.0f} min"
    if seconds < 48 * 3600:
        return f"{seconds / 3600:.1f} h"
    return f"{seconds / 86400:.0f} d"
