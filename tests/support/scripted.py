"""A risk manager that gives the orders of a script, for golden cases."""

from __future__ import annotations

from typing import Any

import msgspec

from bus.runtime.component import Component, Parameters, handles
from schemas import Bar, CancelOrder, ClosePositions, Direction, Fill, Order, OrderType


class ScriptedRisk(Component):
    """Gives `orders[i]` when it has seen as many bars as its `after` says, and closes what is held when told to."""

    class Parameters(Parameters):
        orders: tuple[dict[str, Any], ...] = ()

    component_type = "risk_manager"
    emits = (Order, CancelOrder)

    def reset(self) -> None:
        self.bars = 0
        self.position = 0.0
        self.symbol = ""

    @handles(Bar)
    def on_bar(self, bar: Bar) -> None:
        self.bars += 1
        self.symbol = bar.symbol
        for script in self.parameters.orders:
            if script["after"] == self.bars:
                terms = {key: value for key, value in script.items() if key != "after"}
                self.emit(msgspec.convert({"symbol": bar.symbol, "ts": bar.ts, **terms}, Terms).order())

    @handles(Fill)
    def on_fill(self, fill: Fill) -> None:
        self.position += fill.quantity * fill.direction.sign

    @handles(ClosePositions)
    def on_close(self, close: ClosePositions) -> None:
        self.emit(CancelOrder("", self.clock.now_ns, reason="close_at_end"))
        if self.position:
            direction = Direction.SELL if self.position > 0 else Direction.BUY
            self.emit(Order("close", self.symbol, direction, abs(self.position), OrderType.MARKET, close.ts))


class Terms(msgspec.Struct):
    """An order's terms by name, as a script has them."""

    order_id: str
    symbol: str
    direction: Direction
    quantity: float
    order_type: OrderType
    ts: int
    limit_price: float | None = None
    stop_price: float | None = None

    def order(self) -> Order:
        return Order(**{name: getattr(self, name) for name in self.__struct_fields__})
