"""What Antiphon costs, as ratios against the bare libraries, measured side by side: `python -m tests.bench --help`."""
