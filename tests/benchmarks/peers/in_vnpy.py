"""The workloads in vnpy's CTA backtester: bars as its objects before the clock starts, nothing printed.

It has no market orders; what stands for one is a limit through the market, as its users do. Its run counts no fees:
they are reckoned afterwards, from the trades of each day, which is not in the figure.
"""

from __future__ import annotations

import datetime as dt
from collections import deque
from typing import Any

from vnpy.trader.constant import Exchange, Interval
from vnpy.trader.object import BarData
from vnpy.trader.utility import ArrayManager
from vnpy_ctastrategy import CtaTemplate
from vnpy_ctastrategy.backtesting import BacktestingEngine

from tests.benchmarks.bars import SYMBOL, columns
from tests.benchmarks.peers.common import EVERY, FAST, LADDER, QUANTITY, SLOW, clocked, serve


class Empty(CtaTemplate):
    """W4."""

    def on_init(self) -> None:
        self.bars = 0

    def on_bar(self, bar: BarData) -> None:
        return


class Crossover(Empty):
    """W1."""

    def on_init(self) -> None:
        self.history = ArrayManager(size=SLOW + 1)
        self.above: bool | None = None

    def on_bar(self, bar: BarData) -> None:
        history = self.history
        history.update_bar(bar)
        if not history.inited:
            return
        fast, slow = history.sma(FAST), history.sma(SLOW)
        before, self.above = self.above, fast > slow
        if before is None or before == self.above:
            return
        if self.above:
            self.buy(bar.close_price * 1.1, QUANTITY)
        elif self.pos:
            self.sell(bar.close_price * 0.9, QUANTITY)


class Turns(Empty):
    """W2."""

    def on_bar(self, bar: BarData) -> None:
        self.bars += 1
        if self.bars % 2:
            self.buy(bar.close_price * 1.1, QUANTITY)
        else:
            self.sell(bar.close_price * 0.9, QUANTITY)


class Ladder(Empty):
    """W3."""

    def on_init(self) -> None:
        self.bars = 0
        self.working: deque[str] = deque()

    def on_bar(self, bar: BarData) -> None:
        if self.bars == 0:
            for _ in range(LADDER):
                self.place(bar)
        elif self.bars % EVERY == 0:
            self.cancel_order(self.working.popleft())
            self.place(bar)
        self.bars += 1

    def place(self, bar: BarData) -> None:
        self.working.extend(self.buy(bar.close_price * 0.5, QUANTITY))


STRATEGIES = {"W4": Empty, "W1": Crossover, "W2": Turns, "W3": Ladder}


def run(workload: str, count: int) -> dict[str, Any]:
    """CPU seconds of `run_backtesting`."""
    engine = BacktestingEngine()
    engine.output = lambda _message: None
    engine.set_parameters(
        vt_symbol=f"{SYMBOL}.{Exchange.NASDAQ.value}",
        interval=Interval.MINUTE,
        start=dt.datetime(2020, 1, 1, tzinfo=dt.UTC),
        rate=0,
        slippage=0,
        size=1,
        pricetick=0.01,
        capital=1_000_000_000,
    )
    engine.add_strategy(STRATEGIES[workload], {})
    engine.history_data = _bars(count)
    cpu_s, _, _ = clocked(engine.run_backtesting)
    assert len(engine.daily_results) == len({bar.datetime.date() for bar in engine.history_data})
    return {"cpu_s": cpu_s, "fills": engine.trade_count}


def _bars(count: int) -> list[BarData]:
    rows = zip(*(column.tolist() for column in columns(count)), strict=True)
    return [
        BarData(
            gateway_name="BACKTESTING",
            symbol=SYMBOL,
            exchange=Exchange.NASDAQ,
            datetime=dt.datetime.fromtimestamp(ts // 1_000_000_000, dt.UTC),
            interval=Interval.MINUTE,
            open_price=opened,
            high_price=high,
            low_price=low,
            close_price=close,
            volume=volume,
        )
        for ts, opened, high, low, close, volume in rows
    ]


if __name__ == "__main__":
    serve(run)
