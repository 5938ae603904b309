"""Many fills of one symbol at once, of which each opens a position, closes the one before it, or turns it round.

What is booked is what `Ledger.apply` and `Position.apply` book one fill after another, by the same sums in the same
order.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from bus.runtime.block import Block
from bus.runtime.plain import LARGE, Accounts, PlainFills, PlainOrders, Trips
from components.accounting.ledger import Account, Ledger, check
from components.accounting.position import DUST, Position
from components.portfolio.curve import Curve

_MOST: Final = LARGE * 1e12
"""When more units were traded, sums are not what they should be any more, which has to be said at the right fill."""


class PlainBooking:
    """Books fills of plain orders in an account and its curve."""

    def __init__(
        self, account: Account, curve: Curve, marks: dict[str, float], now_ns: int, moved: Callable[[int], None]
    ) -> None:
        """`now_ns` is what time it is (ns UTC); `moved` is told what it is when all has been booked."""
        self._account = account
        self._curve = curve
        self._marks = marks
        self._now_ns = now_ns
        self._moved = moved

    def is_ready(self, bars: Block, start: int, symbol: str) -> bool:
        """Whether nothing but this symbol is held, which is in the account's own currency or has a rate.

        And whether each of the bars, which are of this symbol, is a time of its own: others may have been of the first
        one's time already.
        """
        main = self._account.main
        ledger, position = self._account.books.get(symbol, (None, None))
        if ledger is not main or position is None or position.bought + position.sold > _MOST:
            return False
        return (not main.open or (len(main.open) == 1 and symbol in main.open)) and self._now_ns < bars[start].ts

    def entry_ts(self, symbol: str) -> int | None:
        """When what is held was opened (ns UTC); None while nothing is."""
        position = self._account.books[symbol][1]
        return position.entry_ts if position.quantity else None

    def count(self, symbol: str, signed: Sequence[float], most: int) -> int:
        """How many of so many fills, from the first on, open a position from nothing, close it, or turn it round."""
        held = self._account.books[symbol][1].quantity
        for number, units in enumerate(itertools.islice(signed, most)):
            rest = held + units
            if held and rest and ((held > 0) == (rest > 0) or abs(rest) <= DUST * abs(units)):
                return number
            held = rest
        return most

    def take(self, orders: PlainOrders, fills: PlainFills, bars: Block, start: int, end: int) -> tuple[Accounts, Trips]:
        """The bars from `start` to before `end` have come, and in them these fills."""
        ledger, position = self._account.books[orders.symbol]
        held = position.quantity
        with np.errstate(over="ignore", invalid="ignore"):  # as of Python's own floats
            accounts, trips = _booked(ledger, position, orders, fills)
            self._draw(position, held, accounts, fills, bars, start, end)
        self._account.booked.extend(fills.ids)
        return accounts, trips

    def _draw(
        self, position: Position, held: float, accounts: Accounts, fills: PlainFills, bars: Block, start: int, end: int
    ) -> None:
        """The points of the curve: each bar ends the time before it, and is a time of its own."""
        curve, marks, symbol = self._curve, self._marks, position.symbol
        lengths = np.diff(np.concatenate(([start], fills.at + 1, [end])))
        before = np.repeat(np.concatenate(([held], accounts.quantities)), lengths)
        """What was held when each of the bars came."""
        closes = bars.array("close")
        values = np.concatenate(([marks.get(symbol, 0.0)], closes[start : end - 1]))
        was_held = before != 0.0
        values = before[was_held] * values[was_held] * position.point_value
        points = fills.at + (len(curve.times) - start + 1)
        """The numbers of points of which each fill is before the next."""
        is_held = (accounts.quantities != 0.0).astype(float)
        curve.runs.extend(np.column_stack((points, accounts.cash, is_held, np.ones(len(points)))).ravel().tolist())
        curve.values.extend(values.tolist())
        curve.times.extend(bars.column("ts")[start:end])
        marks[symbol] = closes[end - 1].item()
        self._moved(curve.times[-1])


def _booked(ledger: Ledger, position: Position, orders: PlainOrders, fills: PlainFills) -> tuple[Accounts, Trips]:
    """Book fills as `PlainBooking.count` lets them pass."""
    count, point_value = len(fills.ids), position.point_value
    signed, quantities = orders.signed[:count], orders.quantities[:count]
    fees, slippages = fills.commissions * position.rate, fills.slippages * quantities * point_value
    values = fills.prices * signed * point_value
    held = _running(np.add, position.quantity, signed)
    before = np.concatenate(([position.quantity], held))[:-1]
    # Of a fill that turns a position round, the part that closes it bears as much of the costs; see `Position`.
    share = np.where((before != 0.0) & (held != 0.0), np.abs(before / signed), 1.0)
    closing_fees, closing_slippages = fees * share, slippages * share
    prices = np.where(held != 0.0, fills.prices * held / held, 0.0)
    entries = _Entries(
        np.concatenate(([position.quantity], held)),
        np.concatenate(([position.average_price], prices)),
        np.concatenate(([position.fees], np.where(before != 0.0, fees - closing_fees, fees) + 0.0)),
        np.concatenate(([position.slippage], np.where(before != 0.0, slippages - closing_slippages, slippages) + 0.0)),
        np.concatenate(([position.entry_ts], fills.ts)),
        [position.entry_fill_id, *fills.ids],
    )
    trips = _trips(position, entries, fills, np.flatnonzero(before), closing_fees, closing_slippages)
    pnl = np.zeros(count)
    pnl[trips.fills] = trips.realised
    accounts = Accounts(
        held,
        prices,
        _running(np.add, ledger.realised_pnl, pnl),
        _running(np.subtract, ledger.cash, values + fees),
        _running(np.add, ledger.fees, fees),
    )
    if count:
        ledger.realised_pnl, ledger.cash, ledger.fees = (column[-1].item() for column in accounts[2:])
        ledger.slippage_cost = _total(ledger.slippage_cost, slippages)
        ledger.traded_value = _total(ledger.traded_value, np.abs(values))
        ledger.fills += count
        position.bought = _total(position.bought, quantities[signed > 0])
        position.sold = _total(position.sold, quantities[signed < 0])
        _hold(position, entries)
        ledger.open.pop(position.symbol, None)
        if position.quantity:
            ledger.open[position.symbol] = position
        check(position)
    return accounts, trips


class _Entries(NamedTuple):
    """What was held before each fill, and after the last one: opened by the fill before. Costs in money."""

    held: NDArray[np.float64]
    prices: NDArray[np.float64]
    fees: NDArray[np.float64]
    slippages: NDArray[np.float64]
    ts: NDArray[np.int64]
    fills: list[str]


def _trips(
    position: Position,
    entries: _Entries,
    fills: PlainFills,
    closing: NDArray[np.int64],
    fees: NDArray[np.float64],
    slippages: NDArray[np.float64],
) -> Trips:
    """The round trips that these fills close."""
    held, prices, average = entries.held[closing], fills.prices[closing], entries.prices[closing]
    both_fees = entries.fees[closing] + fees[closing]
    return Trips(
        list(itertools.islice(position.trade_ids, len(closing))),
        closing,
        held,
        entries.ts[closing],
        average,
        fills.ts[closing],
        prices,
        (prices - average) * held * position.point_value - both_fees,
        both_fees,
        entries.slippages[closing] + slippages[closing],
        [entries.fills[number] for number in closing.tolist()],
        [fills.ids[number] for number in closing.tolist()],
    )


def _hold(position: Position, entries: _Entries) -> None:
    """The position after the last fill; a flat one remembers when it was opened."""
    is_flat = entries.held[-1] == 0.0
    last = -2 if is_flat else -1
    position.entry_ts, position.entry_fill_id = entries.ts[last].item(), entries.fills[last]
    position.quantity = position.average_price = position.fees = position.slippage = 0.0
    if not is_flat:
        position.quantity, position.average_price = entries.held[-1].item(), entries.prices[-1].item()
        position.fees, position.slippage = entries.fees[-1].item(), entries.slippages[-1].item()


def _running(operation: np.ufunc, start: float, values: NDArray[np.float64]) -> NDArray[np.float64]:
    """A total after each of the values: they are taken in one after another, as floats round."""
    result: NDArray[np.float64] = operation.accumulate(np.concatenate(([start], values)))[1:]
    return result


def _total(start: float, values: NDArray[np.float64]) -> float:
    """The total after the last of the values, taken in one after another."""
    return float(_running(np.add, start, values)[-1]) if len(values) else start
