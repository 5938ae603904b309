"""One symbol's holding by the average-cost method, and the round trips that closing it makes."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import repeat
from typing import Final

from schemas import ClosedTrade, Direction, Fill

UNNAMED: Final = repeat("")
"""Round trips without names."""

_BUY: Final = Direction.BUY
_SELL: Final = Direction.SELL

DUST = 1e-12
"""Below this part of what was held or filled, what is left over is rounding, not a holding."""

_TOLERANCE = 1e-9
"""Rounding of many fills together stays far below this part of what was traded; a mistake does not."""


@dataclass(slots=True)
class Position:
    """What is held of a symbol; `quantity` is negative for a short position.

    `average_price` is the average entry price of what is held, 0.0 when flat. `point_value` is money per point of
    price and unit, `rate` money per unit of the fees' currency. `fees` and `slippage`, in money, are the entry's, of
    what is still held. `bought` and `sold` are what the ledger has counted, to check the quantity.
    """

    symbol: str
    point_value: float = 1.0
    rate: float = 1.0
    quantity: float = 0.0
    average_price: float = 0.0
    fees: float = 0.0
    slippage: float = 0.0
    entry_ts: int = 0
    entry_fill_id: str = ""
    bought: float = 0.0
    sold: float = 0.0
    currency: str = ""
    """As in `ClosedTrade`."""
    trade_ids: Iterator[str] = UNNAMED
    """What its round trips are called, one after the other."""

    def apply(self, fill: Fill, signed: float, fees: float, slippage: float) -> ClosedTrade | None:
        """Book `signed` units of a fill, negative for a sale, with their costs in money.

        The round trip is what they closed, if anything. What exceeds the holding opens a position the other way; the
        costs are split by quantity.
        """
        held = self.quantity
        if not held:
            self.quantity = signed
            self.average_price = fill.price * signed / signed
            self.fees += fees
            self.slippage += slippage
            self.entry_ts = fill.ts
            self.entry_fill_id = fill.fill_id
            return None
        if held + signed == 0.0:
            trip = self._trip(held, fill, self.fees + fees, self.slippage + slippage)
            self.quantity = self.average_price = self.fees = self.slippage = 0.0
            return trip
        if not signed:
            return None
        if (held > 0) == (signed > 0):
            self._add(fill, signed, fees, slippage)
            return None
        if abs(signed) < abs(held):
            return self._reduce(fill, signed, fees, slippage)
        return self._flip(fill, signed, fees, slippage)

    def unrealised_pnl(self, mark: float) -> float:
        """Profit or loss of what is held at the price `mark`, net of the entry's fees."""
        return (mark - self.average_price) * self.quantity * self.point_value - self.fees

    def is_sum_of_fills(self) -> bool:
        """Whether the quantity equals all that was bought less all that was sold."""
        bought, sold = self.bought, self.sold
        return abs(self.quantity - (bought - sold)) <= _TOLERANCE * (bought + sold)

    def _add(self, fill: Fill, signed: float, fees: float, slippage: float) -> None:
        held, quantity = abs(self.quantity), abs(signed)
        self.average_price = (self.average_price * held + fill.price * quantity) / (held + quantity)
        self.quantity += signed
        self.fees += fees
        self.slippage += slippage

    def _reduce(self, fill: Fill, signed: float, fees: float, slippage: float) -> ClosedTrade:
        """Close a part of it, which takes its share of the entry's costs along."""
        before = abs(self.quantity)
        share = abs(signed) / before
        entry_fees, entry_slippage = self.fees * share, self.slippage * share
        trip = self._trip(-signed, fill, entry_fees + fees, entry_slippage + slippage)
        self.quantity += signed
        self.fees -= entry_fees
        self.slippage -= entry_slippage
        if abs(self.quantity) <= DUST * before:
            self.quantity = self.average_price = self.fees = self.slippage = 0.0
        return trip

    def _flip(self, fill: Fill, signed: float, fees: float, slippage: float) -> ClosedTrade | None:
        """Close all of it and open what is more than rounding with the rest."""
        held = self.quantity
        share, rest = abs(held / signed), held + signed
        trip = self.apply(fill, -held, fees * share, slippage * share)
        if abs(rest) > DUST * abs(signed):
            self.apply(fill, rest, fees - fees * share, slippage - slippage * share)
        return trip

    def _trip(self, closed: float, fill: Fill, fees: float, slippage: float) -> ClosedTrade:
        price, entry_price = fill.price, self.average_price
        return ClosedTrade(
            next(self.trade_ids),
            self.symbol,
            _BUY if closed > 0 else _SELL,
            abs(closed),
            self.entry_ts,
            entry_price,
            fill.ts,
            price,
            (price - entry_price) * closed * self.point_value - fees,
            fees,
            slippage,
            self.entry_fill_id,
            fill.fill_id,
            self.currency,
        )
