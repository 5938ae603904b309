"""The workloads that our engine and its peers run: `python -m tests.benchmarks.workloads W2 --bars 100000 --runs 3`.

    W4  a strategy that does nothing
    W1  a crossover of the averages of 10 and 30 closes, in the market or flat, some 3,800 fills in 100,000 bars
    W2  a market order on every bar, buying and selling in turn
    W3  50 resting limit orders far below the market, of which the oldest is replaced every 10 bars
    W6  W2 with a component of the user's own that hears fills, so that all goes message by message
    W7  W1 in three symbols, whose bars come at the same times: a third of the bars each

One symbol but in W7, one-minute bars, everything in one thread, nothing switched off but the capture (`--capture
full`). The bars are made and read into columns before the clock starts: the figure is the CPU time of the engine's run
call, to the closing of its log. Each run has a process of its own.
"""

from __future__ import annotations

import argparse
import cProfile
import json
import pstats
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Final

import pyarrow as pa
import pyarrow.parquet as pq

from deploy.launcher import RunResult, launch
from deploy.plan import Placement, Plan, plan_of
from deploy.run_folder import COMPLETED
from tests.benchmarks.bars import SYMBOL, columns
from tests.benchmarks.result import Options, Result, alone, median_of, ratio_of, until_sure

PARTS: Final = "tests.benchmarks.parts"
WORKLOADS: Final[dict[str, dict[str, dict[str, Any]]]] = {
    "W4": {"strategy": {"class": f"{PARTS}.Empty"}},
    "W1": {"strategy": {"class": "MovingAverageCrossover", "fast": 10, "slow": 30}},
    "W2": {"strategy": {"class": f"{PARTS}.EveryBar"}},
    "W3": {"strategy": {"class": f"{PARTS}.Ladder"}, "risk_manager": {"class": f"{PARTS}.LadderRisk"}},
    "W6": {"strategy": {"class": f"{PARTS}.EveryBar"}, "listener": {"class": f"{PARTS}.Listener"}},
    "W7": {"strategy": {"class": "MovingAverageCrossover", "fast": 10, "slow": 30}},
}
SYMBOLS: Final = {"W7": 3}
"""Where there are several."""


CAPTURE_AIM: Final = 1.6


@dataclass(frozen=True)
class Outcome:
    """A run and what its orders have become: numbers by state, and of refusals."""

    result: RunResult
    orders: dict[str, int]

    def us_per_bar(self) -> float:
        """CPU time of the run call, microseconds a bar."""
        return self.result.cpu_s / self.result.counts["Bar"] * 1e6


def content(folder: Path, components: dict[str, dict[str, Any]], capture: str = "none") -> dict[str, Any]:
    """A topology of these components and the defaults, with its runs in `folder`; positions stay open at the end."""
    risk = {"class": "RiskStub", "quantity": 10}
    return {
        "bus": {"capture": capture, "run_dir": str(folder / "runs")},
        "backtest": {"close_at_end": "none"},
        "components": {"risk_manager": risk, **components},
    }


def bars_of(count: int, symbols: int) -> pa.Table:
    """So many bars, or as many fewer as make them equally many of each symbol: each has a part of the same walk."""
    each = count // symbols
    by_time = {
        name: values[: each * symbols].reshape(symbols, each).T for name, values in columns(count)._asdict().items()
    }
    times = by_time.pop("ts")[:, :1].repeat(symbols, axis=1)
    names = [SYMBOL] if symbols == 1 else [f"{SYMBOL}{number}" for number in range(symbols)]
    return pa.table({"timestamp": times.ravel(), "symbol": names * each, **{k: v.ravel() for k, v in by_time.items()}})


def plan_for(workload: str, bars: int, folder: Path, capture: str = "none") -> Plan:
    """A plan for a workload, with the bars in a file in `folder`."""
    symbols = SYMBOLS.get(workload, 1)
    path = folder / f"{bars}-{symbols}.parquet"
    if not path.exists():
        pq.write_table(bars_of(bars, symbols), path)
    data = {"class": "HistoricalDataHandler", "path": str(path), "timestamp_unit": "ns"}
    made = content(folder, {"data_handler": data, **WORKLOADS[workload]}, capture)
    return plan_of(made, folder / "benchmark.yaml", Placement.LOCAL)


def run(plan: Plan) -> Outcome:
    """Run a plan; one that fails, or has orders refused, is no benchmark."""
    result = launch(plan)
    assert result.status == COMPLETED, result.error
    (manager,) = (e.component for e in plan.entries if e.component.component_type == "order_manager")
    orders = manager.statistics()
    assert orders["rejected"] == orders["refused"] == 0, orders
    return Outcome(result, orders)


def us_per_bar(workload: str, bars: int, capture: str = "none") -> float:
    """CPU microseconds a bar of one run."""
    with tempfile.TemporaryDirectory() as folder:
        return run(plan_for(workload, bars, Path(folder), capture)).us_per_bar()


def profile(workload: str, bars: int, capture: str) -> None:
    """Print where the time of one run goes."""
    with tempfile.TemporaryDirectory() as folder:
        plan = plan_for(workload, bars, Path(folder), capture)
        profiler = cProfile.Profile()
        profiler.runcall(run, plan)
    pstats.Stats(profiler).sort_stats("tottime").print_stats(40)


def measure(options: Options) -> Iterator[Result]:
    """The time of every workload, and what capturing it costs."""
    bars = 100_000 if options.full else 20_000
    for workload in WORKLOADS:
        full, none = until_sure(partial(_with_and_without_log, workload, bars), options)
        yield median_of(f"{workload}, {bars} bars", none, "us/bar")
        yield ratio_of(f"{workload}, capture full to none, {bars} bars", full, none, aim=CAPTURE_AIM)


def _with_and_without_log(workload: str, bars: int) -> tuple[float, float]:
    none = alone(us_per_bar, workload, bars, "none")
    return alone(us_per_bar, workload, bars, "full"), none


def main() -> None:
    """Run the workloads that were asked for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("workloads", nargs="*", default=list(WORKLOADS), help="all when none is given")
    parser.add_argument("--bars", type=int, default=100_000)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--capture", choices=["none", "digest", "full"], default="none")
    parser.add_argument("--here", action="store_true", help="in this process, for a profiler to watch")
    parser.add_argument("--profile", action="store_true", help="one run, in this process, under Python's profiler")
    given = parser.parse_args()
    for workload in given.workloads:
        if given.profile:
            profile(workload, given.bars, given.capture)
            continue
        one = (workload, given.bars, given.capture)
        values = [us_per_bar(*one) if given.here else alone(us_per_bar, *one) for _ in range(given.runs)]
        result = median_of(f"{workload}, {given.bars} bars, capture {given.capture}", values, "us/bar")
        print(json.dumps(result.document()), flush=True)


if __name__ == "__main__":
    main()
