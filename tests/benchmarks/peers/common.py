"""What every peer's module does alike. Runs in the peer's environment: numpy and the standard library only."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable
from typing import Any, Final

QUANTITY: Final = 10
LADDER: Final = 50
EVERY: Final = 10
FAST: Final = 10
SLOW: Final = 30
CASH: Final = 1_000_000_000.0
PAIRS: Final = [(fast, slow) for fast in range(4, 12) for slow in range(20, 60, 5)]
"""The 64 pairs of window lengths that W5 tries."""


def clocked(function: Callable[[], Any]) -> tuple[float, float, Any]:
    """CPU seconds, wall seconds and what the function gave."""
    wall, cpu = time.perf_counter(), time.process_time()
    given = function()
    return time.process_time() - cpu, time.perf_counter() - wall, given


def serve(run: Callable[[str, int], dict[str, Any]]) -> None:
    """Run the workload that the command line names and print what it gave as JSON."""
    workload, bars = sys.argv[1:]
    print(json.dumps(run(workload, int(bars))))
