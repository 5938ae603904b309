"""The workloads in backtesting.py: indicators computed once as arrays, no progress bar, no plot."""

from __future__ import annotations

import functools
import os
import warnings
from collections import deque
from typing import Any

os.environ["TQDM_DISABLE"] = "1"

import numpy as np
import pandas as pd
from backtesting import Backtest, Strategy
from backtesting.lib import crossover

from tests.benchmarks.bars import columns
from tests.benchmarks.peers.common import CASH, EVERY, FAST, LADDER, PAIRS, QUANTITY, SLOW, clocked, serve


def average(values: np.ndarray, window: int) -> np.ndarray:
    """Moving average, NaN until there are enough values."""
    sums = np.cumsum(np.insert(np.asarray(values, dtype=float), 0, 0.0))
    return np.concatenate([np.full(window - 1, np.nan), (sums[window:] - sums[:-window]) / window])


class Empty(Strategy):
    """W4."""

    def init(self) -> None:
        return

    def next(self) -> None:
        return


class Crossover(Strategy):
    """W1."""

    fast, slow = FAST, SLOW

    def init(self) -> None:
        self.quick = self.I(average, self.data.Close, self.fast)
        self.calm = self.I(average, self.data.Close, self.slow)

    def next(self) -> None:
        if crossover(self.quick, self.calm):
            self.buy(size=QUANTITY)
        elif crossover(self.calm, self.quick):
            self.position.close()


class Turns(Empty):
    """W2."""

    long = False

    def next(self) -> None:
        self.long = not self.long
        if self.long:
            self.buy(size=QUANTITY)
        else:
            self.sell(size=QUANTITY)


class Ladder(Empty):
    """W3."""

    def init(self) -> None:
        self.working: deque[Any] = deque()
        self.bars = 0

    def next(self) -> None:
        if self.bars == 0:
            for _ in range(LADDER):
                self.place()
        elif self.bars % EVERY == 0:
            self.working.popleft().cancel()
            self.place()
        self.bars += 1

    def place(self) -> None:
        self.working.append(self.buy(size=QUANTITY, limit=round(self.data.Close[-1] * 0.5, 2)))


STRATEGIES = {"W4": Empty, "W1": Crossover, "W2": Turns, "W3": Ladder, "W5": Crossover}


def run(workload: str, count: int) -> dict[str, Any]:
    """CPU seconds of `Backtest.run`; of `Backtest.optimize`, which uses every core, wall seconds."""
    warnings.simplefilter("ignore")
    bars = columns(count)
    index = pd.to_datetime(bars.ts)
    names = ("Open", "High", "Low", "Close", "Volume")
    frame = pd.DataFrame(dict(zip(names, bars[1:], strict=True)), index=index)
    test = Backtest(frame, STRATEGIES[workload], cash=CASH)
    if workload == "W5":
        fast, slow = ([*dict.fromkeys(windows)] for windows in zip(*PAIRS, strict=True))
        _, wall_s, stats = clocked(functools.partial(test.optimize, fast=fast, slow=slow, maximize="Equity Final [$]"))
        return {"wall_s": wall_s, "fills": 2 * int(stats["# Trades"])}
    cpu_s, _, stats = clocked(test.run)
    return {"cpu_s": cpu_s, "fills": 2 * int(stats["# Trades"])}


if __name__ == "__main__":
    serve(run)
