"""How much: from a signal, the account and the instrument to a quantity."""

from __future__ import annotations

import math
from decimal import Decimal

from pydantic import Field, model_validator

from bus.runtime.component import Parameters
from components.risk.holdings import Holdings
from schemas import Direction, Signal


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


def opening_quantity(signal: Signal, parameters: RiskStubParameters, holdings: Holdings) -> float:
    """The size of the position to open: as the signal asks, else as configured, times the signal's strength."""
    if signal.direction is Direction.SELL and not parameters.allow_short:
        return 0.0
    if signal.quantity is not None:
        return max(0.0, signal.quantity)
    instrument = holdings.instrument(signal.symbol)
    if parameters.percent_of_equity is None:
        quantity = parameters.quantity * signal.strength
        return whole_lots(quantity, instrument.lot_size) if instrument.lot_size else quantity
    if signal.price <= 0:
        return 0.0
    value = holdings.equity() * parameters.percent_of_equity / 100 * signal.strength
    return whole_lots(value / (signal.price * instrument.multiplier), instrument.lot_size or 1.0)


def closing_quantity(signal: Signal, held: float, allow_short: bool) -> float:
    """How much of what is held the other way to close: all, unless a SELL that may not go short asks for less."""
    if signal.direction is Direction.SELL and not allow_short and signal.quantity is not None:
        return min(held, signal.quantity)
    return held


def whole_lots(quantity: float, lot_size: float) -> float:
    """The largest multiple of `lot_size` that is not above `quantity`; 0 for a negative quantity.

    The product is taken in decimals: 3 lots of 0.1 are 0.3, not 0.30000000000000004.
    """
    lots = max(0, math.floor(quantity / lot_size + 1e-9))
    return float(Decimal(repr(lot_size)) * lots)
