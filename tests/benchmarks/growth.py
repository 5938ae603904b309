"""Whether cost grows with the length of a run, the orders that were, or the orders that wait.

Bars come from a source that makes them on the way, so that memory is that of the run. Times are CPU time, taken between
the blocks of one run.
"""

from __future__ import annotations

import itertools
import resource
import statistics
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

from deploy.launcher import launch
from deploy.plan import Placement, plan_of
from deploy.run_folder import COMPLETED
from tests.benchmarks.result import Options, Result, alone, median_of, ratio_of
from tests.benchmarks.workloads import PARTS, content

GROWTH_AIM: Final = 1.1
MEMORY_AIM_MB: Final = 300.0
WAITING_AIM: Final = 1.2

_EMPTY: Final[dict[str, Any]] = {"strategy": {"class": f"{PARTS}.Empty"}}
_TURNS: Final[dict[str, Any]] = {"strategy": {"class": f"{PARTS}.EveryBar"}}


def _ladder(orders: int) -> dict[str, Any]:
    return {
        "strategy": {"class": f"{PARTS}.Ladder", "size": orders, "every": 0},
        "risk_manager": {"class": f"{PARTS}.LadderRisk", "size": max(1, orders), "quantity": 0.01},
    }


def block_times(components: dict[str, Any], bars: int) -> tuple[list[float], float]:
    """CPU microseconds a bar for every block of a run, and of the whole."""
    marks: list[tuple[int, float]] = []

    def mark(sent: int, _total: int) -> None:
        marks.append((sent, time.process_time()))

    with tempfile.TemporaryDirectory() as folder:
        source = {"class": f"{PARTS}.MinuteBars", "count": bars}
        made = content(Path(folder), {"data_handler": source, **components})
        result = launch(plan_of(made, Path(folder) / "growth.yaml", Placement.LOCAL), mark)
    assert result.status == COMPLETED, result.error
    blocks = [(end - start) / (sent - before) * 1e6 for (before, start), (sent, end) in itertools.pairwise(marks)]
    return blocks, result.cpu_s / bars * 1e6


def long_run(bars: int) -> tuple[float, float]:
    """Of an empty strategy: CPU microseconds a bar, and peak resident memory (MB)."""
    _, whole = block_times(_EMPTY, bars)
    return whole, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def early_and_late(bars: int) -> tuple[float, float]:
    """Of an order on every bar: CPU microseconds an order in the first and in the last quarter of a run."""
    blocks, _ = block_times(_TURNS, bars)
    quarter = len(blocks) // 4
    return statistics.median(blocks[:quarter]), statistics.median(blocks[-quarter:])


def quiet_bars(orders: int, bars: int) -> float:
    """CPU microseconds of a bar while so many orders wait far from the market.

    The first block, which places them, is left out.
    """
    blocks, _ = block_times(_ladder(orders), bars)
    return statistics.median(blocks[1:])


def measure(options: Options) -> Iterator[Result]:
    """Length, memory, orders that were, orders that wait."""
    many = 10_000_000 if options.full else 1_000_000
    yield from _length(many, options.runs)
    yield _orders(200_000 if options.full else 50_000, options.runs)
    yield _waiting(100_000 if options.full else 20_000, options.runs)


def _length(bars: int, runs: int) -> Iterator[Result]:
    short, long, memory = [], [], []
    for _ in range(runs):
        short.append(alone(long_run, bars // 10)[0])
        time_of, size = alone(long_run, bars)
        long.append(time_of)
        memory.append(size)
    yield ratio_of(f"time a bar, {bars} bars to {bars // 10}", long, short, aim=GROWTH_AIM)
    yield median_of(f"peak memory, {bars} bars", memory, "MB", aim=MEMORY_AIM_MB)


def _orders(bars: int, runs: int) -> Result:
    found = [alone(early_and_late, bars) for _ in range(runs)]
    early, late = zip(*found, strict=True)
    return ratio_of(f"time an order, last quarter to first of {bars}", late, early, aim=GROWTH_AIM)


def _waiting(orders: int, runs: int) -> Result:
    busy, idle = [], []
    for _ in range(runs):
        idle.append(alone(quiet_bars, 0, 100_000))
        busy.append(alone(quiet_bars, orders, 100_000))
    return ratio_of(f"time of a quiet bar, {orders} waiting orders to none", busy, idle, aim=WAITING_AIM)
