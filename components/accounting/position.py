"""One symbol's holding by the average-cost method, and the round trips that closing it makes."""

from __future__ import annotations

from dataclasses import dataclass

from schemas import ClosedTrade, Direction, Fill

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
        quantity, held, sign = fill.quantity, self.quantity, fill.direction.sign
        if sign > 0:
            self.bought += quantity
        else:
            self.sold += quantity
        if held * sign >= 0:
            self._open(fill, quantity, sign, fees, slippage)
            return None
        if held + quantity * sign == 0.0:
            return self._close(fill, -held, fees, slippage, trade_id)
        closed = min(abs(held), quantity)
        share = closed / quantity
        trip = self._close(fill, closed * sign, fees * share, slippage * share, trade_id)
        rest = quantity - closed
        if rest > _DUST * quantity:
            self._open(fill, rest, sign, fees - fees * share, slippage - slippage * share)
        return trip

    def unrealised_pnl(self, mark: float) -> float:
        """Profit or loss of what is held at the price `mark`, net of the entry's fees."""
        return (mark - self.average_price) * self.quantity * self.point_value - self.fees

    def is_sum_of_fills(self) -> bool:
        """Whether the quantity equals all that was bought less all that was sold."""
        bought, sold = self.bought, self.sold
        return abs(self.quantity - (bought - sold)) <= _TOLERANCE * (bought + sold)

    def _open(self, fill: Fill, quantity: float, sign: int, fees: float, slippage: float) -> None:
        cost, all_held = fill.price * quantity, quantity
        if self.quantity:
            held = abs(self.quantity)
            cost, all_held = self.average_price * held + cost, held + quantity
        else:
            self.entry_ts = fill.ts
            self.entry_fill_id = fill.fill_id
        self.average_price = cost / all_held
        self.quantity += quantity * sign
        self.fees += fees
        self.slippage += slippage

    def _close(self, fill: Fill, signed: float, fees: float, slippage: float, trade_id: str) -> ClosedTrade:
        """Close `signed` of the holding, of which `fees` and `slippage` are what the fill cost."""
        closed, before, price, entry_price = abs(signed), abs(self.quantity), fill.price, self.average_price
        share = closed / before
        entry_fees, entry_slippage = self.fees * share, self.slippage * share
        both = entry_fees + fees
        earned = (price - entry_price) * -signed * self.point_value - both
        self.realised_pnl += earned
        self.quantity += signed
        if abs(self.quantity) <= _DUST * before:
            self.quantity = self.average_price = self.fees = self.slippage = 0.0
        else:
            self.fees -= entry_fees
            self.slippage -= entry_slippage
        return ClosedTrade(
            trade_id,
            self.symbol,
            Direction.BUY if signed < 0 else Direction.SELL,
            closed,
            self.entry_ts,
            entry_price,
            fill.ts,
            price,
            earned,
            both,
            entry_slippage + slippage,
            self.entry_fill_id,
            fill.fill_id,
            self.currency,
        )
