"""What risk must know to size an order: positions, orders on their way, cash."""

from __future__ import annotations

from collections.abc import Collection
from typing import Final

import msgspec

from bus.runtime.settings import Instrument, RunSettings
from components.accounting.recent import RecentIds
from schemas import Fill, Order, OrderState, OrderStatus, OrderType

QUANTITY_DECIMALS: Final = 9
"""Quantities are sums of floats; beyond this many decimals there is only rounding error."""

_DUST: Final = 0.5 * 10.0**-QUANTITY_DECIMALS
FINAL_STATES: Final = frozenset({OrderState.FILLED, OrderState.CANCELLED, OrderState.REJECTED, OrderState.EXPIRED})
_SURE_TO_FILL: Final = frozenset({OrderType.MARKET, OrderType.MARKET_ON_OPEN, OrderType.MARKET_ON_CLOSE})
_NONE: Final[dict[str, Working]] = {}


class Working(msgspec.Struct, eq=False, gc=False):
    """An order that is not final. `leaves` is what has not filled; `cancelling` says that its cancel was asked for.

    `protects` says that it is the target or the stop loss of a bracket, `waits` that it is not and waits for a price,
    to open or to close.
    """

    order: Order
    leaves: float
    protects: bool
    waits: bool
    cancelling: bool = False


def without_dust(quantity: float) -> float:
    """A position; 0.0 for one that is only rounding error."""
    return quantity if abs(quantity) > _DUST else 0.0


class Holdings:
    """Positions and cash by fills, and the orders that are still working, by symbol."""

    def __init__(self, run: RunSettings) -> None:
        self.cash = run.initial_cash
        self.marks: dict[str, float] = {}
        """Last known price by symbol."""
        self.positions: dict[str, float] = {}
        """Signed quantity by symbol, without symbols that are flat."""
        self._run = run
        self._working: dict[str, dict[str, Working]] = {}
        self.fill_ids = RecentIds()
        self._instruments: dict[str, Instrument] = {}

    def instrument(self, symbol: str) -> Instrument:
        """The declared instrument, or one without restrictions."""
        instrument = self._instruments.get(symbol)
        if instrument is None:
            instrument = self._instruments[symbol] = self._run.instrument(symbol)
        return instrument

    def equity(self) -> float:
        """Cash plus the market value of all positions, in the account's currency."""
        value = self.cash
        for symbol, quantity in self.positions.items():
            value += quantity * self.marks[symbol] * self.instrument(symbol).multiplier
        return value

    def working(self, symbol: str) -> Collection[Working]:
        """The orders of a symbol that are not final, oldest first."""
        orders = self._working.get(symbol)
        return orders.values() if orders else ()

    def add(self, order: Order) -> None:
        """An order that was just made."""
        orders = self._working.get(order.symbol)
        if orders is None:
            orders = self._working[order.symbol] = {}
        protects = bool(order.parent_id)
        waits = not protects and order.order_type not in _SURE_TO_FILL
        orders[order.order_id] = Working(order, order.quantity, protects, waits)

    def fill(self, fill: Fill) -> None:
        """Take a fill into position and cash. One of the last that is told again changes nothing."""
        symbol, quantity = fill.symbol, fill.quantity
        if not self.fill_ids.is_new(fill.fill_id):
            return
        signed = fill.direction.sign * quantity
        instrument = self._instruments.get(symbol) or self.instrument(symbol)
        self.cash -= signed * fill.price * instrument.multiplier + fill.commission
        if symbol not in self.marks:
            self.marks[symbol] = fill.price
        held = self.positions.pop(symbol, 0.0) + signed
        if abs(held) > _DUST:
            self.positions[symbol] = held
        working = self._working.get(symbol, _NONE).get(fill.order_id)
        if working is not None:
            working.leaves = max(0.0, working.leaves - quantity)

    def forget(self, status: OrderStatus) -> None:
        """An order has become final."""
        self._working.get(status.symbol, _NONE).pop(status.order_id, None)
