"""One symbol's holding by the average-cost method, and the round trips that closing it makes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

from schemas import Direction, Fill

_DUST = 1e-12
"""Below this part of what was held or filled, what is left over is rounding, not a holding."""

_TOLERANCE = 1e-9
"""Rounding of many fills together stays far below this part of what was traded; a mistake does not."""


class RoundTrip(NamedTuple):
    """Some quantity opened and closed again; fields as in `schemas.ClosedTrade`."""

    symbol: str
    direction: Direction
    quantity: float
    entry_ts: int
    entry_price: float
    exit_ts: int
    exit_price: float
    realised_pnl: float
    fees: float
    slippage_cost: float
    entry_fill_id: str
    exit_fill_id: str


class Costs(NamedTuple):
    """Fees and slippage in money."""

    fees: float
    slippage: float

    def part(self, share: float) -> Costs:
        """This share of both."""
        return Costs(self.fees * share, self.slippage * share)

    def plus(self, other: Costs) -> Costs:
        """Both together."""
        return Costs(self.fees + other.fees, self.slippage + other.slippage)

    def minus(self, other: Costs) -> Costs:
        """What is left without the other."""
        return Costs(self.fees - other.fees, self.slippage - other.slippage)


_NO_COSTS = Costs(0.0, 0.0)


@dataclass(slots=True)
class Position:
    """What is held of a symbol; `quantity` is negative for a short position.

    `average_price` is the average entry price of what is held, 0.0 when flat. `point_value` is money per point of
    price and unit. `realised_pnl` is that of all round trips so far, net of their fees. `costs` are the entry's, of
    what is still held.
    """

    symbol: str
    point_value: float = 1.0
    quantity: float = 0.0
    average_price: float = 0.0
    realised_pnl: float = 0.0
    costs: Costs = _NO_COSTS
    entry_ts: int = 0
    entry_fill_id: str = ""
    bought: float = 0.0
    sold: float = 0.0

    def apply(self, fill: Fill, costs: Costs) -> RoundTrip | None:
        """Book a fill; the round trip is what it closed, if anything.

        What exceeds the holding opens a position the other way; the fill's costs are split by quantity.
        """
        self._count(fill)
        if self.quantity * fill.direction.sign >= 0:
            self._open(fill, fill.quantity, costs)
            return None
        closed = min(abs(self.quantity), fill.quantity)
        exit_costs = costs.part(closed / fill.quantity)
        trip = self._close(fill, closed, exit_costs)
        rest = fill.quantity - closed
        if rest > _DUST * fill.quantity:
            self._open(fill, rest, costs.minus(exit_costs))
        return trip

    def unrealised_pnl(self, mark: float) -> float:
        """Profit or loss of what is held at the price `mark`, net of the entry's fees."""
        return (mark - self.average_price) * self.quantity * self.point_value - self.costs.fees

    def is_sum_of_fills(self) -> bool:
        """Whether the quantity equals all that was bought less all that was sold."""
        tolerance = _TOLERANCE * (self.bought + self.sold)
        return abs(self.quantity - (self.bought - self.sold)) <= tolerance

    def _count(self, fill: Fill) -> None:
        if fill.direction is Direction.BUY:
            self.bought += fill.quantity
        else:
            self.sold += fill.quantity

    def _open(self, fill: Fill, quantity: float, costs: Costs) -> None:
        held = abs(self.quantity)
        if held == 0:
            self.entry_ts = fill.ts
            self.entry_fill_id = fill.fill_id
        self.average_price = (self.average_price * held + fill.price * quantity) / (held + quantity)
        self.quantity += quantity * fill.direction.sign
        self.costs = self.costs.plus(costs)

    def _close(self, fill: Fill, closed: float, exit_costs: Costs) -> RoundTrip:
        side = fill.direction.opposite
        entry_costs = self.costs.part(closed / abs(self.quantity))
        costs = entry_costs.plus(exit_costs)
        gain = (fill.price - self.average_price) * side.sign * closed * self.point_value
        trip = RoundTrip(
            symbol=self.symbol,
            direction=side,
            quantity=closed,
            entry_ts=self.entry_ts,
            entry_price=self.average_price,
            exit_ts=fill.ts,
            exit_price=fill.price,
            realised_pnl=gain - costs.fees,
            fees=costs.fees,
            slippage_cost=costs.slippage,
            entry_fill_id=self.entry_fill_id,
            exit_fill_id=fill.fill_id,
        )
        self.realised_pnl += trip.realised_pnl
        self._reduce(closed * side.sign, entry_costs)
        return trip

    def _reduce(self, signed: float, entry_costs: Costs) -> None:
        before = abs(self.quantity)
        self.quantity -= signed
        self.costs = self.costs.minus(entry_costs)
        if abs(self.quantity) <= _DUST * before:
            self.quantity = 0.0
            self.average_price = 0.0
            self.costs = _NO_COSTS
