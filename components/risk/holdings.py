"""What risk must know to size an order: positions, orders on their way, cash."""

from __future__ import annotations

from collections import defaultdict
from typing import Final

import msgspec

from bus.runtime.settings import Instrument, RunSettings
from components.accounting.recent import RecentIds
from schemas import Fill, Order, OrderState, OrderType

QUANTITY_DECIMALS: Final = 9
"""Quantities are sums of floats; beyond this many decimals there is only rounding error."""

DUST: Final = 0.5 * 10.0**-QUANTITY_DECIMALS
"""A position up to this size is only rounding error."""
FINAL_STATES: Final = frozenset({OrderState.FILLED, OrderState.CANCELLED, OrderState.REJECTED, OrderState.EXPIRED})
SURE_TO_FILL: Final = frozenset({OrderType.MARKET, OrderType.MARKET_ON_OPEN, OrderType.MARKET_ON_CLOSE})


class Working(msgspec.Struct, eq=False, gc=False):
    """An order that is not final. `leaves` is what has not filled; `cancelling` says that its cancel was asked for.

    `protects` says that it is the target or the stop loss of a bracket, `waits` that it waits for a price.
    """

    order: Order
    leaves: float
    protects: bool
    waits: bool
    cancelling: bool = False


class Holdings:
    """Positions by fills, and the orders that are still working, by symbol; with `valued` the equity as well."""

    def __init__(self, run: RunSettings, valued: bool = True) -> None:
        self.cash = run.initial_cash
        self.marks: dict[str, float] = {}
        """Last known price by symbol."""
        self.positions: dict[str, float] = {}
        """Signed quantity by symbol, without symbols that are flat."""
        self.working: defaultdict[str, dict[str, Working]] = defaultdict(dict)
        """By symbol, the orders that are not final by their ids, oldest first."""
        self.fill_ids = RecentIds()
        self._valued = valued
        self._run = run
        self._instruments: dict[str, Instrument] = {}

    def instrument(self, symbol: str) -> Instrument:
        """The declared instrument, or one without restrictions."""
        instrument = self._instruments.get(symbol)
        if instrument is None:
            instrument = self._instruments[symbol] = self._run.instrument(symbol)
        return instrument

    def equity(self) -> float:
        """Cash plus the market value of all positions, in the account's currency."""
        assert self._valued
        value = self.cash
        for symbol, quantity in self.positions.items():
            value += quantity * self.marks[symbol] * self.instrument(symbol).multiplier
        return value

    def add(self, order: Order) -> None:
        """Take in an order that was just made and works from now on."""
        self.working[order.symbol][order.order_id] = Working(
            order, order.quantity, order.parent_id != "", order.order_type not in SURE_TO_FILL
        )

    def fill(self, fill: Fill) -> None:
        """Take a fill into position and equity. One of the last that is told again changes nothing."""
        if not self.fill_ids.is_new(fill.fill_id):
            return
        symbol, quantity = fill.symbol, fill.quantity
        signed = fill.direction.sign * quantity
        if self._valued:
            self._pay(fill, signed)
        positions = self.positions
        held = positions.pop(symbol, 0.0) + signed
        if held > DUST or held < -DUST:
            positions[symbol] = held
        working = self.working[symbol].get(fill.order_id)
        if working is not None:
            if quantity < working.leaves:
                working.leaves -= quantity
            else:
                working.leaves = 0.0

    def _pay(self, fill: Fill, signed: float) -> None:
        self.cash -= signed * fill.price * self.instrument(fill.symbol).multiplier + fill.commission
        if fill.symbol not in self.marks:
            self.marks[fill.symbol] = fill.price
