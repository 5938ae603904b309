"""How much: from a signal, the account and the instrument to a quantity."""

from __future__ import annotations

import math
from decimal import Decimal
from typing import Final

from pydantic import Field, model_validator

from bus.runtime.component import Parameters
from components.risk.holdings import Holdings
from schemas import Direction, Signal

_SELL: Final = Direction.SELL


class RiskStubParameters(Parameters):
    """How much to trade on a signal of strength 1.

    Either `quantity`, in units of the instrument, or `percent_of_equity` (10 is 10 %). Both give whole lots; an
    instrument that declares no lot size has any quantity in the first case, and whole units in the second. With
    `allow_short` a SELL also opens a short position of that size.

    Equity is cash and what is held at its last price: the close of a bar, the middle of a two-sided quote, or a trade.
    Every price counts as money of the account's currency: risk knows no exchange rates, so an instrument in another
    currency is to be sized by `quantity`, or by the signal.
    """

    quantity: float = Field(default=100.0, gt=0)
    percent_of_equity: float | None = Field(default=None, gt=0)
    allow_short: bool = False

    @model_validator(mode="after")
    def _one_way_to_size(self) -> RiskStubParameters:
        if self.percent_of_equity is not None and "quantity" in self.model_fields_set:
            raise ValueError("quantity and percent_of_equity are two ways to size an order; give one of them")
        return self


class Sizing:
    """The parameters at work. `allow_short` is that of the parameters."""

    def __init__(self, parameters: RiskStubParameters, holdings: Holdings) -> None:
        self.allow_short = parameters.allow_short
        self._quantity = parameters.quantity
        self._percent = parameters.percent_of_equity
        self._holdings = holdings

    def opening(self, signal: Signal) -> float:
        """The size of the position to open: as the signal asks, else as configured, times the signal's strength."""
        if signal.direction is _SELL and not self.allow_short:
            return 0.0
        if signal.quantity is not None:
            return max(0.0, float(signal.quantity))
        lot_size = self._holdings.lot_sizes.get(signal.symbol)
        if self._percent is None:
            quantity = self._quantity * signal.strength
            return whole_lots(quantity, lot_size) if lot_size else quantity
        if signal.price <= 0:
            return 0.0
        value = self._holdings.equity() * self._percent / 100 * signal.strength
        multiplier = self._holdings.multipliers.get(signal.symbol, 1.0)
        return whole_lots(value / (signal.price * multiplier), lot_size or 1.0)

    def closing(self, signal: Signal, held: float) -> float:
        """How much of what is held the other way to close: all, unless a SELL that may not go short asks for less."""
        if signal.quantity is not None and signal.direction is _SELL and not self.allow_short:
            return min(held, signal.quantity)
        return held


def whole_lots(quantity: float, lot_size: float) -> float:
    """The largest multiple of `lot_size` that is not above `quantity`; 0 for a negative quantity.

    The product is taken in decimals: 3 lots of 0.1 are 0.3, not 0.30000000000000004.
    """
    lots = max(0, math.floor(quantity / lot_size + 1e-9))
    return float(Decimal(repr(lot_size)) * lots)
