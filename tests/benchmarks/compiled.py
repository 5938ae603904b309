"""W5, compiled: 64 pairs of averages over 100,000 one-minute bars on two threads, indicators and statistics with it.

The first of two processes begins without machine code, the second finds it in the cache. `vectorbt` takes 1.7 s for the
same on the machine that the aim is from.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np

from tests.benchmarks.bars import SYMBOL, columns
from tests.benchmarks.peers.common import PAIRS
from tests.benchmarks.result import ROOT, Options, Result, median_of

BARS = 100_000
AIM_S = 1.7
_THREADS = 2


def measure(options: Options) -> Iterator[Result]:
    """Wall and CPU seconds of the sweep, those of compiling apart."""
    with tempfile.TemporaryDirectory() as cache:
        first, *others = (in_a_process(cache) for _ in range(1 + options.runs))
    yield median_of("W5 compiled, 64 pairs x 100,000 bars", [one["wall_s"] for one in others], "s", aim=AIM_S)
    yield median_of("W5 compiled, CPU", [one["cpu_s"] for one in others], "s")
    yield Result("W5 compiled, compiling once", first["ready_s"], "s", note="numba's import with it; then it is cached")
    yield median_of("W5 compiled, loading from the cache", [one["ready_s"] for one in others], "s")


def in_a_process(cache: str) -> dict[str, float]:
    """`sweep` in a process of its own, which finds its machine code in the folder `cache` or leaves it there."""
    done = subprocess.run(
        [sys.executable, "-m", "tests.benchmarks.compiled"],
        cwd=ROOT,
        env={**os.environ, "NUMBA_CACHE_DIR": cache},
        stdout=subprocess.PIPE,
        check=True,
        text=True,
    )
    said: dict[str, float] = json.loads(done.stdout)
    return said


def sweep() -> dict[str, float]:
    """Seconds until the first run is done (`ready_s`: imports and machine code), then of the sweep."""
    bars = columns(BARS)
    begun = time.perf_counter()
    from deploy.optimize.compiled.program import market_of, program_of
    from deploy.plan import plan_of

    def plan(fast: int, slow: int) -> object:
        components = {
            "data_handler": {"class": "HistoricalDataHandler", "path": str(ROOT / "configs" / "data" / "daily.csv")},
            "strategy": {"class": "MovingAverageCrossover", "fast": fast, "slow": slow},
            "risk_manager": {"class": "RiskStub", "quantity": 10},
        }
        return plan_of({"backtest": {"initial_cash": 1e9}, "components": components}, Path(__file__))

    def run(pair: tuple[int, int]) -> float:
        program = program_of(plan(*pair), market)
        return float(program.statistics(program.run(), "specification")["final_equity"])

    values = (bars.open, bars.high, bars.low, bars.close, bars.volume)
    market = market_of((SYMBOL,), bars.ts, np.zeros(BARS, np.int64), values)
    run(PAIRS[0])
    ready_s = time.perf_counter() - begun
    wall, cpu = time.perf_counter(), time.process_time()
    with ThreadPoolExecutor(_THREADS) as threads:
        found = list(threads.map(run, PAIRS))
    assert len(set(found)) > 1
    return {"ready_s": ready_s, "wall_s": time.perf_counter() - wall, "cpu_s": time.process_time() - cpu}


if __name__ == "__main__":
    print(json.dumps(sweep()))
