"""Components for benchmarks: bars made on the way, strategies that do nothing, trade on every bar, or keep a ladder."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from itertools import repeat
from typing import Final

from pydantic import Field

from bus.runtime.component import Component, Parameters, Source, handles
from schemas import Bar, CancelOrder, Direction, Fill, Message, Order, OrderType, Signal
from tests.benchmarks.bars import SYMBOL, blocks

AT_ONCE: Final = 2048


class MinuteBars(Source):
    """The bars of `tests.benchmarks.bars`, made on the way, for runs longer than memory should hold.

    They come in blocks as long as those of `HistoricalDataHandler`.
    """

    class Parameters(Parameters):
        count: int = Field(default=100_000, ge=0)

    component_type = "data_handler"
    emits = (Bar,)

    def blocks(self) -> Iterable[list[Message]]:
        for block in blocks(self.parameters.count):
            for start in range(0, len(block.ts), AT_ONCE):
                ts, *values = (column[start : start + AT_ONCE].tolist() for column in block)
                yield list(map(Bar, ts, repeat(SYMBOL), *values))

    @property
    def total(self) -> int:
        return self.parameters.count


class Empty(Component):
    """Takes every bar and does nothing."""

    component_type = "strategy"
    emits = (Signal,)

    @handles(Bar)
    def on_bar(self, _: Bar) -> None:
        return


class EveryBar(Component):
    """One market order a bar: buys and sells in turn."""

    component_type = "strategy"
    emits = (Signal,)

    def reset(self) -> None:
        self.long = False

    @handles(Bar)
    def on_bar(self, bar: Bar) -> None:
        self.long = not self.long
        direction = Direction.BUY if self.long else Direction.SELL
        self.emit(Signal(bar.ts, bar.symbol, direction, 1.0, bar.close))


class Listener(Component):
    """Hears every fill."""

    @handles(Fill)
    def on_fill(self, _: Fill) -> None:
        return


class Ladder(Component):
    """Wants `size` buy limits at half the price on the first bar, and one more every `every` bars (0: never)."""

    class Parameters(Parameters):
        size: int = Field(default=50, ge=0)
        every: int = Field(default=10, ge=0)

    component_type = "strategy"
    emits = (Signal,)

    def reset(self) -> None:
        self.bars = 0

    @handles(Bar)
    def on_bar(self, bar: Bar) -> None:
        parameters = self.parameters
        if self.bars == 0:
            for _ in range(parameters.size):
                self.emit(_far_below(bar))
        elif parameters.every and self.bars % parameters.every == 0:
            self.emit(_far_below(bar))
        self.bars += 1


def _far_below(bar: Bar) -> Signal:
    price = round(bar.close * 0.5, 2)
    return Signal(bar.ts, bar.symbol, Direction.BUY, 1.0, bar.close, OrderType.LIMIT, limit_price=price)


class LadderRisk(Component):
    """Makes an order of every signal, and cancels the oldest when more than `size` would work.

    `RiskStub` would not do: of several signals in one direction it orders once.
    """

    class Parameters(Parameters):
        size: int = Field(default=50, ge=1)
        quantity: float = 10.0

    component_type = "risk_manager"
    emits = (Order, CancelOrder)

    def reset(self) -> None:
        self.made = 0
        self.working: deque[str] = deque()

    @handles(Signal)
    def on_signal(self, signal: Signal) -> None:
        if len(self.working) == self.parameters.size:
            self.emit(CancelOrder(self.working.popleft(), signal.ts, signal.symbol))
        self.made += 1
        order_id = f"{self.name}-{self.made}"
        self.working.append(order_id)
        quantity = self.parameters.quantity
        self.emit(
            Order(
                order_id,
                signal.symbol,
                signal.direction,
                quantity,
                signal.order_type,
                signal.ts,
                limit_price=signal.limit_price,
            )
        )
