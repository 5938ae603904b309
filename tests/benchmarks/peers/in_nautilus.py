"""The workloads in NautilusTrader's low-level backtest engine: logging bypassed, no analysis, bars added beforehand."""

from __future__ import annotations

from collections import deque
from decimal import Decimal
from typing import Any

import numpy as np
import pandas as pd
from nautilus_trader.backtest.engine import BacktestEngine, BacktestEngineConfig
from nautilus_trader.config import LoggingConfig
from nautilus_trader.indicators import SimpleMovingAverage
from nautilus_trader.model.currencies import USD
from nautilus_trader.model.data import Bar, BarType
from nautilus_trader.model.enums import AccountType, OmsType, OrderSide
from nautilus_trader.model.identifiers import Venue
from nautilus_trader.model.objects import Money
from nautilus_trader.persistence.wranglers import BarDataWrangler
from nautilus_trader.test_kit.providers import TestInstrumentProvider
from nautilus_trader.trading.strategy import Strategy

from tests.benchmarks.bars import columns
from tests.benchmarks.peers.common import EVERY, FAST, LADDER, QUANTITY, SLOW, clocked, serve

INSTRUMENT = TestInstrumentProvider.equity(symbol="SYN", venue="SIM")
BAR_TYPE = BarType.from_str("SYN.SIM-1-MINUTE-LAST-EXTERNAL")


class Empty(Strategy):
    """W4."""

    def on_start(self) -> None:
        self.size = INSTRUMENT.make_qty(QUANTITY)
        self.fills = self.bars = 0
        self.subscribe_bars(BAR_TYPE)

    def on_bar(self, bar: Bar) -> None:
        return

    def on_order_filled(self, _event: Any) -> None:
        self.fills += 1

    def market(self, side: OrderSide) -> None:
        self.submit_order(self.order_factory.market(INSTRUMENT.id, side, self.size))


class Crossover(Empty):
    """W1."""

    def on_start(self) -> None:
        super().on_start()
        self.quick, self.calm = SimpleMovingAverage(FAST), SimpleMovingAverage(SLOW)
        self.register_indicator_for_bars(BAR_TYPE, self.quick)
        self.register_indicator_for_bars(BAR_TYPE, self.calm)
        self.above: bool | None = None
        self.holds = False

    def on_bar(self, bar: Bar) -> None:
        if not self.calm.initialized:
            return
        before, self.above = self.above, self.quick.value > self.calm.value
        if before is None or before == self.above or self.above == self.holds:
            return
        self.holds = self.above
        self.market(OrderSide.BUY if self.above else OrderSide.SELL)


class Turns(Empty):
    """W2."""

    def on_bar(self, bar: Bar) -> None:
        self.bars += 1
        self.market(OrderSide.BUY if self.bars % 2 else OrderSide.SELL)


class Ladder(Empty):
    """W3."""

    def on_start(self) -> None:
        super().on_start()
        self.working: deque[Any] = deque()

    def on_bar(self, bar: Bar) -> None:
        if self.bars == 0:
            for _ in range(LADDER):
                self.place(bar)
        elif self.bars % EVERY == 0:
            self.cancel_order(self.working.popleft())
            self.place(bar)
        self.bars += 1

    def place(self, bar: Bar) -> None:
        price = INSTRUMENT.make_price(float(bar.close) * 0.5)
        order = self.order_factory.limit(INSTRUMENT.id, OrderSide.BUY, self.size, price)
        self.working.append(order)
        self.submit_order(order)


STRATEGIES = {"W4": Empty, "W1": Crossover, "W2": Turns, "W3": Ladder}


def run(workload: str, count: int) -> dict[str, Any]:
    """CPU seconds of `engine.run`."""
    engine = BacktestEngine(BacktestEngineConfig(logging=LoggingConfig(bypass_logging=True), run_analysis=False))
    engine.add_venue(
        venue=Venue("SIM"),
        oms_type=OmsType.NETTING,
        account_type=AccountType.CASH,
        base_currency=USD,
        starting_balances=[Money(Decimal(1_000_000_000), USD)],
    )
    engine.add_instrument(INSTRUMENT)
    bars = columns(count)._asdict()
    index = pd.to_datetime(bars.pop("ts"), utc=True)
    frame = pd.DataFrame({name: np.asarray(values) for name, values in bars.items()}, index=index)
    engine.add_data(BarDataWrangler(BAR_TYPE, INSTRUMENT).process(frame))
    strategy = STRATEGIES[workload]()
    engine.add_strategy(strategy)
    cpu_s, _, _ = clocked(engine.run)
    return {"cpu_s": cpu_s, "fills": strategy.fills}


if __name__ == "__main__":
    serve(run)
