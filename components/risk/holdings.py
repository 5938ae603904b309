"""What risk must know to size an order: positions, orders on their way, cash."""

from __future__ import annotations

from typing import Final

import msgspec

from bus.runtime.settings import RunSettings
from schemas import Fill, Order

QUANTITY_DECIMALS: Final = 9
"""Quantities are sums of floats; beyond this many decimals there is only rounding error."""

DUST: Final = 0.5 * 10.0**-QUANTITY_DECIMALS
"""A position up to this size is only rounding error."""


class Working(msgspec.Struct, eq=False, gc=False):
    """An order that is not final. `leaves` is what has not filled; `cancelling` says that its cancel was asked for."""

    order: Order
    leaves: float
    cancelling: bool = False


class Holdings:
    """Positions and, for the equity, cash and prices."""

    def __init__(self, run: RunSettings) -> None:
        self.cash = run.initial_cash
        self.marks: dict[str, float] = {}
        """Last known price by symbol."""
        self.positions: dict[str, float] = {}
        """Signed quantity by symbol, without symbols that are flat."""
        self.multipliers = {instrument.symbol: instrument.multiplier for instrument in run.instruments}
        """Currency per point of price and unit, by symbol; 1 for others."""
        self.lot_sizes = {instrument.symbol: instrument.lot_size for instrument in run.instruments}
        """Quantity step by symbol; 0 for others: any quantity."""

    def equity(self) -> float:
        """Cash plus the market value of all positions, in the account's currency."""
        value = self.cash
        for symbol, quantity in self.positions.items():
            value += quantity * self.marks[symbol] * self.multipliers.get(symbol, 1.0)
        return value

    def pay(self, fill: Fill, signed: float) -> None:
        """Take from the cash what a fill of `signed` units (negative when sold) costs."""
        self.cash -= signed * fill.price * self.multipliers.get(fill.symbol, 1.0) + fill.commission
        self.marks.setdefault(fill.symbol, fill.price)
