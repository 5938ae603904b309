"""The workloads in backtrader: preloaded, vectorised indicators (`runonce`), no observers, no analyzers."""

from __future__ import annotations

from collections import deque
from typing import Any

import backtrader as bt
import pandas as pd

from tests.benchmarks.bars import columns
from tests.benchmarks.peers.common import CASH, EVERY, FAST, LADDER, QUANTITY, SLOW, clocked, serve


class Counting(bt.Strategy):
    """Counts fills."""

    fills = 0

    def notify_order(self, order: bt.Order) -> None:
        self.fills += order.status == order.Completed


class Empty(bt.Strategy):
    """W4."""

    def next(self) -> None:
        return


class Crossover(Counting):
    """W1."""

    def __init__(self) -> None:
        fast, slow = bt.ind.SMA(period=FAST), bt.ind.SMA(period=SLOW)
        self.cross = bt.ind.CrossOver(fast, slow)

    def next(self) -> None:
        cross = self.cross[0]
        if cross > 0:
            self.buy(size=QUANTITY)
        elif cross < 0 and self.position.size:
            self.sell(size=QUANTITY)


class Turns(Counting):
    """W2."""

    long = False

    def next(self) -> None:
        self.long = not self.long
        if self.long:
            self.buy(size=QUANTITY)
        else:
            self.sell(size=QUANTITY)


class Ladder(Counting):
    """W3."""

    def __init__(self) -> None:
        self.working: deque[bt.Order] = deque()

    def next(self) -> None:
        n = len(self) - 1
        if n == 0:
            for _ in range(LADDER):
                self.place()
        elif n % EVERY == 0:
            self.cancel(self.working.popleft())
            self.place()

    def place(self) -> None:
        price = round(self.data.close[0] * 0.5, 2)
        self.working.append(self.buy(size=QUANTITY, exectype=bt.Order.Limit, price=price))


STRATEGIES = {"W4": Empty, "W1": Crossover, "W2": Turns, "W3": Ladder}


def run(workload: str, count: int) -> dict[str, Any]:
    """CPU seconds of `cerebro.run`, which takes the bars out of their DataFrame."""
    bars = columns(count)._asdict()
    frame = pd.DataFrame(bars, index=pd.to_datetime(bars.pop("ts")))
    cerebro = bt.Cerebro(stdstats=False)
    cerebro.broker.setcash(CASH)
    cerebro.adddata(bt.feeds.PandasData(dataname=frame, timeframe=bt.TimeFrame.Minutes, openinterest=None))
    cerebro.addstrategy(STRATEGIES[workload])
    cpu_s, _, (strategy,) = clocked(cerebro.run)
    return {"cpu_s": cpu_s, "fills": getattr(strategy, "fills", 0)}


if __name__ == "__main__":
    serve(run)
