"""One symbol's holding by the average-cost method, and the round trips that closing it makes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from schemas import ClosedTrade, Direction, Fill

_BUY: Final = Direction.BUY
_SELL: Final = Direction.SELL

_DUST = 1e-12
"""Below this part of what was held or filled, what is left over is rounding, not a holding."""

_TOLERANCE = 1e-9
"""Rounding of many fills together stays far below this part of what was traded; a mistake does not."""


@dataclass(slots=True)
class Position:
    """What is held of a symbol; `quantity` is negative for a short position.

    `average_price` is the average entry price of what is held, 0.0 when flat. `point_value` is money per point of
    price and unit. `realised_pnl` is that of all round trips so far, net of their fees. `fees` and `slippage`, in
    money, are the entry's, of what is still held.
    """

    symbol: str
    point_value: float = 1.0
    quantity: float = 0.0
    average_price: float = 0.0
    realised_pnl: float = 0.0
    fees: float = 0.0
    slippage: float = 0.0
    entry_ts: int = 0
    entry_fill_id: str = ""
    bought: float = 0.0
    sold: float = 0.0
    currency: str = ""
    """As in `ClosedTrade`."""

    def apply(self, fill: Fill, fees: float, slippage: float, trade_id: str = "") -> ClosedTrade | None:
        """Book a fill, with its costs in money; the round trip, named `trade_id`, is what it closed, if anything.

        What exceeds the holding opens a position the other way; the fill's costs are split by quantity.
        """
        quantity, held = fill.quantity, self.quantity
        if fill.direction is _BUY:
            self.bought += quantity
            signed = quantity
        else:
            self.sold += quantity
            signed = -quantity
        if not held:
            self._enter(fill, signed, fees, slippage)
            return None
        if held + signed == 0.0:
            return self._leave(fill, fees, slippage, trade_id)
        if not signed:
            return None
        if (held > 0) == (signed > 0):
            self._add(fill, signed, fees, slippage)
            return None
        if quantity < abs(held):
            return self._reduce(fill, signed, fees, slippage, trade_id)
        share = abs(held) / quantity
        trip = self._leave(fill, fees * share, slippage * share, trade_id)
        rest = held + signed
        if abs(rest) > _DUST * quantity:
            self._enter(fill, rest, fees - fees * share, slippage - slippage * share)
        return trip

    def unrealised_pnl(self, mark: float) -> float:
        """Profit or loss of what is held at the price `mark`, net of the entry's fees."""
        return (mark - self.average_price) * self.quantity * self.point_value - self.fees

    def is_sum_of_fills(self) -> bool:
        """Whether the quantity equals all that was bought less all that was sold."""
        bought, sold = self.bought, self.sold
        return abs(self.quantity - (bought - sold)) <= _TOLERANCE * (bought + sold)

    def _enter(self, fill: Fill, signed: float, fees: float, slippage: float) -> None:
        quantity = abs(signed)
        self.entry_ts = fill.ts
        self.entry_fill_id = fill.fill_id
        self.average_price = fill.price * quantity / quantity
        self.quantity += signed
        self.fees += fees
        self.slippage += slippage

    def _add(self, fill: Fill, signed: float, fees: float, slippage: float) -> None:
        held, quantity = abs(self.quantity), abs(signed)
        self.average_price = (self.average_price * held + fill.price * quantity) / (held + quantity)
        self.quantity += signed
        self.fees += fees
        self.slippage += slippage

    def _leave(self, fill: Fill, fees: float, slippage: float, trade_id: str) -> ClosedTrade:
        """Close all of it, which took `fees` and `slippage` of what the fill cost."""
        held, costs = self.quantity, self.fees + fees
        trip = self._trip(trade_id, held, fill, costs, self.slippage + slippage)
        self.quantity = self.average_price = self.fees = self.slippage = 0.0
        return trip

    def _reduce(self, fill: Fill, signed: float, fees: float, slippage: float, trade_id: str) -> ClosedTrade:
        """Close a part of it, which takes its share of the entry's costs along."""
        before = abs(self.quantity)
        share = abs(signed) / before
        entry_fees, entry_slippage = self.fees * share, self.slippage * share
        trip = self._trip(trade_id, -signed, fill, entry_fees + fees, entry_slippage + slippage)
        self.quantity += signed
        self.fees -= entry_fees
        self.slippage -= entry_slippage
        if abs(self.quantity) <= _DUST * before:
            self.quantity = self.average_price = self.fees = self.slippage = 0.0
        return trip

    def _trip(self, trade_id: str, closed: float, fill: Fill, fees: float, slippage: float) -> ClosedTrade:
        price, entry_price = fill.price, self.average_price
        earned = (price - entry_price) * closed * self.point_value - fees
        self.realised_pnl += earned
        return ClosedTrade(
            trade_id,
            self.symbol,
            _BUY if closed > 0 else _SELL,
            abs(closed),
            self.entry_ts,
            entry_price,
            fill.ts,
            price,
            earned,
            fees,
            slippage,
            self.entry_fill_id,
            fill.fill_id,
            self.currency,
        )
