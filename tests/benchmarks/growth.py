"""Whether cost grows with the length of a run, the orders that were, or the orders that wait.

Bars come from a source that makes them on the way, so that memory is that of the run. Times are CPU time. Runs that are
compared go on in turn, some milliseconds each, so that whatever else the machine does meets both.
"""

from __future__ import annotations

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
from tests.benchmarks.result import Options, Result, Turn, alone, in_turn, median_of, ratio_of
from tests.benchmarks.workloads import PARTS, content

GROWTH_AIM: Final = 1.1
MEMORY_AIM_MB: Final = 300.0
WAITING_AIM: Final = 1.2
PIECE: Final = 4096
"""Bars of a run before it is another's turn, at least."""

_EMPTY: Final[dict[str, Any]] = {"strategy": {"class": f"{PARTS}.Empty"}}
_TURNS: Final[dict[str, Any]] = {"strategy": {"class": f"{PARTS}.EveryBar"}}


def _ladder(orders: int) -> dict[str, Any]:
    return {
        "strategy": {"class": f"{PARTS}.Ladder", "size": orders, "every": 0},
        "risk_manager": {"class": f"{PARTS}.LadderRisk", "size": max(1, orders), "quantity": 0.01},
    }


def piece_times(components: dict[str, Any], bars: int, turn: Turn = lambda: None) -> list[float]:
    """CPU microseconds a bar for every piece of a run but the first; after each, others have their turn."""
    times: list[float] = []
    before, start = 0, 0.0

    def mark(sent: int, _total: int) -> None:
        nonlocal before, start
        if sent - before < PIECE:
            return
        if before:
            times.append((time.process_time() - start) / (sent - before) * 1e6)
        turn()
        before, start = sent, time.process_time()

    with tempfile.TemporaryDirectory() as folder:
        source = {"class": f"{PARTS}.MinuteBars", "count": bars}
        made = content(Path(folder), {"data_handler": source, **components})
        result = launch(plan_of(made, Path(folder) / "growth.yaml", Placement.LOCAL), mark)
    assert result.status == COMPLETED, result.error
    return times


def long_runs(turn: Turn, bars: int, times: int) -> tuple[float, float]:
    """Of an empty strategy, run so many times: CPU microseconds a bar, and peak resident memory (MB)."""
    found = [each for _ in range(times) for each in piece_times(_EMPTY, bars, turn)]
    return statistics.fmean(found), _peak_mb()


def early_and_late(bars: int) -> tuple[float, float, float]:
    """Of an order on every bar: CPU microseconds an order in the first and in the last quarter of a run, and peak
    resident memory (MB), its results written."""
    times = piece_times(_TURNS, bars)
    quarter = len(times) // 4
    return statistics.median(times[:quarter]), statistics.median(times[-quarter:]), _peak_mb()


def quiet_bars(turn: Turn, orders: int, bars: int) -> list[float]:
    """CPU microseconds a bar, piece by piece, while so many orders wait far from the market.

    The first two pieces, in which they are placed, are left out.
    """
    return piece_times(_ladder(orders), bars, turn)[1:]


def _peak_mb() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def measure(options: Options) -> Iterator[Result]:
    """Length, memory, orders that were, orders that wait."""
    many = 10_000_000 if options.full else 1_000_000
    yield from _length(many, options.runs)
    yield from _orders(400_000 if options.full else 50_000, options.runs)
    yield _waiting(100_000 if options.full else 20_000, options.runs)


def _length(bars: int, runs: int) -> Iterator[Result]:
    ratios, memory = [], []
    for _ in range(runs):
        (long, size), (short, _size) = in_turn(long_runs, (bars, 1), (bars // 10, 10))
        ratios.append(long / short)
        memory.append(size)
    yield median_of(f"time a bar, {bars} bars to {bars // 10}", ratios, "ratio", aim=GROWTH_AIM)
    yield median_of(f"peak memory, {bars} bars", memory, "MB", aim=MEMORY_AIM_MB)


def _orders(bars: int, runs: int) -> Iterator[Result]:
    found = [alone(early_and_late, bars) for _ in range(runs)]
    early, late, memory = zip(*found, strict=True)
    yield ratio_of(f"time an order, last quarter to first of {bars}", late, early, aim=GROWTH_AIM)
    yield median_of(f"peak memory, an order on each of {bars} bars", memory, "MB", aim=MEMORY_AIM_MB)


def _waiting(orders: int, runs: int) -> Result:
    ratios = []
    for _ in range(runs):
        busy, idle = in_turn(quiet_bars, (orders, 200_000), (0, 200_000))
        ratios.append(statistics.median(b / i for b, i in zip(busy, idle, strict=True)))
    name = f"time of a quiet bar, {orders} waiting orders to none"
    return median_of(name, ratios, "ratio", aim=WAITING_AIM)
