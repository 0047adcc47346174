"""`python -m tests.load.reference report.json`: make what a run measured the figures that come with the package."""

from __future__ import annotations

import sys
from pathlib import Path

import antiphon.planning
from antiphon.planning import read_measured

TARGET = Path(antiphon.planning.__file__).with_name("reference.json")


def main() -> int:
    """Write them; the arguments are a report."""
    measured = read_measured(Path(sys.argv[1]))
    TARGET.write_text(measured.model_dump_json(indent=1) + "\n", encoding="utf-8")
    print(f"{TARGET}: {measured.machine}, by {measured.command}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
