"""Bars in which plain orders come at the open, or limit orders that rest are reached, and nothing else happens.

They are the usual bars, and done without a walk.
"""

from __future__ import annotations

from collections.abc import Sequence
from operator import attrgetter
from typing import Final

from components.broker.book import Book
from components.broker.market import Budget, bar_budget
from components.broker.path import bar_path, position_at
from components.broker.pricing import whole_bar_price
from components.broker.venue import Venue
from components.broker.working import Working
from schemas import Bar, Liquidity, OrderType

_MARKET: Final = OrderType.MARKET
_TAKER: Final = Liquidity.TAKER
_MAKER: Final = Liquidity.MAKER
_number_of: Final = attrgetter("number")


def meet_plainly(venue: Venue, book: Book, bar: Bar, reached: Sequence[Working] = ()) -> bool:
    """Do what a walk would, for a fraction of its cost; or nothing, and say so, if more happens than is seen to here.

    What comes are the book's `arriving` and `fresh` orders, `reached` are those in the book that the bar must look at.
    """
    orders, latest, ts = book.arriving, book.arriving_by, bar.ts
    # Later than when the bar begins, if it is known how long it is.
    if latest > ts - (book.interval or 1) and (latest >= ts or position_at(latest, ts, book.interval)):
        return False
    if book.fresh and not is_traded(venue, bar):
        return False
    if reached:
        if not (venue.fills_plainly and all(map(_is_plain, reached))):
            return False
        orders = sorted([*(order for order in reached if order.kind is _MARKET), *orders], key=_number_of)
    budget = bar_budget(bar, venue.settings.max_volume_pct, book.lot_size)
    desk, how = venue.desk, venue.settings.terms.fill_price
    for order in orders:
        if order.leaves > 0:
            price, rule = (bar.open, "market_open") if how == "next_open" else whole_bar_price(how, order, bar)
            desk.fill(order, order.leaves, price, rule, _TAKER, budget)
            if order.leaves > 0 and order.level is None:
                order.arrived = True
                book.place(order)
    book.arriving.clear()
    if reached and is_traded(venue, bar):
        _fill_limits(venue, bar, [order for order in reached if order.kind is not _MARKET], budget)
    if book.fresh:
        book.rest()
    return True


def is_traded(venue: Venue, bar: Bar) -> bool:
    """Whether orders meet anybody in a bar: where volume counts, nobody is there in one without volume."""
    return bar.volume > 0 or venue.settings.max_volume_pct is None


def _is_plain(order: Working) -> bool:
    """Whether an order that a bar reaches is a market order that waits for volume, or a limit order that may match."""
    if order.kind is _MARKET:
        return order.plain
    return order.plain and (order.rested or not (order.arrived or order.order.post_only))


def _fill_limits(venue: Venue, bar: Bar, orders: list[Working], budget: Budget) -> None:
    """Fill limit orders that the bar reaches; those that it meets first take liquidity if the open meets them."""
    for order in orders if len(orders) < 2 else _along_the_path(venue, bar, orders):
        limit = _limit_of(order)
        price, rule, liquidity = limit, "limit_price", _MAKER
        if order.sign * (limit - bar.open) >= 0:
            price, rule, liquidity = bar.open, "limit_open", _MAKER if order.rested else _TAKER
        venue.desk.fill(order, order.leaves, price, rule, liquidity, budget)


def _along_the_path(venue: Venue, bar: Bar, orders: list[Working]) -> list[Working]:
    """Limit orders in the order in which the bar's path comes to them: see `pricing.Event`."""
    path = bar_path(bar, venue.settings.path)
    start = path.at(0.0)

    def event(order: Working) -> tuple[float, float, int]:
        limit = _limit_of(order)
        position = path.reach(limit, start, -order.sign)
        assert position is not None, "the bar reaches the order"
        return position, order.sign * (start.price - limit) if position == 0.0 else 0.0, order.number

    return sorted(orders, key=event)


def _limit_of(order: Working) -> float:
    limit = order.order.limit_price
    assert limit is not None, "a plain limit order has its price"
    return limit
