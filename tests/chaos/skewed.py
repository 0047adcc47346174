"""Run a module on a machine whose clock is wrong: `python -m tests.chaos.skewed SECONDS MODULE`."""

from __future__ import annotations

import runpy
import sys
import time


def main() -> None:
    ahead_s, module = float(sys.argv[1]), sys.argv[2]
    now, now_ns = time.time, time.time_ns
    time.time = lambda: now() + ahead_s
    time.time_ns = lambda: now_ns() + int(ahead_s * 1e9)
    sys.argv = [module]
    runpy.run_module(module, run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    main()
