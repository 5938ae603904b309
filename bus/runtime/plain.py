"""Plain orders as columns: how components tell each other of many orders at once (see `bus.express`).

A plain order is a market order of one symbol, made on the close of a bar and filled whole by the next one.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import repeat
from typing import TYPE_CHECKING, Final, NamedTuple

from schemas import ClosedTrade, Direction, FeeLine, Order, OrderType

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]
    Ints = NDArray[np.int64]

_BUY: Final = Direction.BUY
_SELL: Final = Direction.SELL
_MARKET: Final = OrderType.MARKET
_EXACT_BELOW: Final = 2.0**53
LARGE: Final = 1e12
"""Orders for so many units, or at such prices, are not plain: sums of them may be no numbers any more."""


def direction_of(sign: float) -> Direction:
    """BUY for a sign above 0, else SELL."""
    return _BUY if sign > 0 else _SELL


def plain_order(order_id: str, symbol: str, direction: Direction, quantity: float, ts: int, reason: str) -> Order:
    """A plain order made at `ts` (ns UTC)."""
    return Order(order_id, symbol, direction, quantity, _MARKET, ts, reason=reason)


def is_plain(order: Order) -> bool:
    """Whether it is such an order."""
    return order == plain_order(order.order_id, order.symbol, order.direction, order.quantity, order.ts, order.reason)


def whole_sum(start: float, values: Floats) -> float | None:
    """The sum of whole numbers, which is exact; None if some are not, or it might be large."""
    import numpy as np

    with np.errstate(over="ignore", invalid="ignore"):
        if float(abs(values).sum()) + abs(start) < _EXACT_BELOW and start.is_integer():
            return start + float(values.sum()) if (values == values.round()).all() else None
    return None


class PlainOrders(NamedTuple):
    """Orders of one symbol in the order in which they were made; columns of equal length.

    Ids are those of a counter. `at` is the index in the block of the bar on which an order was made, `ts` its time (ns
    UTC). `signed` quantities are negative for a SELL.
    """

    symbol: str
    ids: list[str]
    at: Ints
    ts: Ints
    signed: Floats
    quantities: Floats
    reasons: list[str]

    def order(self, number: int) -> Order:
        """One of them as the message that it is."""
        quantity, ts = self.quantities[number].item(), self.ts[number].item()
        direction = direction_of(self.signed[number])
        return plain_order(self.ids[number], self.symbol, direction, quantity, ts, self.reasons[number])


class PlainFills(NamedTuple):
    """Fills of plain orders, the first so many of them; columns of equal length, what they mean as in `Fill`.

    `at` is the index in the block of the bar that filled, `ts` its time. Budgets are None where there is no cap, and
    `fees` where there are none.
    """

    ids: list[str]
    at: Ints
    ts: Ints
    prices: Floats
    references: Floats
    slippages: Floats
    commissions: Floats
    budgets: tuple[Floats, Floats] | None
    """Before and after."""
    fees: list[tuple[FeeLine, ...]] | None


class Accounts(NamedTuple):
    """The account after each fill; columns of equal length, what they mean as in `PositionUpdate`."""

    quantities: Floats
    average_prices: Floats
    realised: Floats
    cash: Floats
    fees: Floats


class Trips(NamedTuple):
    """Round trips that fills closed; columns of equal length, what they mean as in `ClosedTrade`.

    `fills` are the numbers of the fills that closed them; a `closed` quantity is negative for one that was short.
    """

    ids: list[str]
    fills: Ints
    closed: Floats
    entry_ts: Ints
    entry_prices: Floats
    exit_ts: Ints
    exit_prices: Floats
    realised: Floats
    fees: Floats
    slippages: Floats
    entry_fills: list[str]
    exit_fills: list[str]

    def messages(self, symbol: str) -> Iterator[ClosedTrade]:
        """The round trips as the messages that they are."""
        directions, quantities = map(direction_of, self.closed.tolist()), abs(self.closed).tolist()
        numbers = (column.tolist() for column in self[3:10])
        columns = (self.ids, repeat(symbol), directions, quantities, *numbers, self.entry_fills, self.exit_fills)
        return map(ClosedTrade, *columns)

    def message(self, number: int, symbol: str) -> ClosedTrade:
        """One of them."""
        return next(Trips._make(column[number : number + 1] for column in self).messages(symbol))
