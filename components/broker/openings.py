"""Bars in which all that happens is that plain orders come at the open: the usual bar, done without a walk."""

from __future__ import annotations

from typing import Final

from components.broker.book import Book
from components.broker.market import bar_budget
from components.broker.path import position_at
from components.broker.pricing import whole_bar_price
from components.broker.venue import Venue
from components.broker.working import Working
from schemas import Bar, Liquidity, OrderType

_MARKET: Final = OrderType.MARKET
_LIMIT: Final = OrderType.LIMIT
_TAKER: Final = Liquidity.TAKER


def open_plainly(venue: Venue, book: Book, bar: Bar, orders: list[Working], latest: int) -> bool:
    """Do what a walk would, for a fraction of its cost, if plain orders come at the open of a bar that does nothing to
    others, and all that it does to them is that it fills market orders. Else do nothing, and say so.

    The orders are in the order of their numbers, the last of them comes at `latest` (ns UTC).
    """
    ts, interval = bar.ts, book.interval
    if latest >= ts or (latest > ts - interval and position_at(latest, ts, interval)) or venue.before_walk is not None:
        return False
    for order in orders:
        if order.kind is not _MARKET and _is_in_reach(order, bar):
            return False
    how = venue.settings.terms.fill_price
    budget = book.budget = bar_budget(bar.volume, venue.settings.max_volume_pct, book.instrument.lot_size)
    for order in orders:
        if not order.alive:
            continue
        if order.kind is _LIMIT:
            if bar.volume > 0 or budget.left is None:
                order.rested = True
        else:
            left, wanted = budget.left, order.leaves
            quantity = wanted if left is None or wanted <= left else left
            if quantity > 0:
                price, rule = (bar.open, "market_open") if how == "next_open" else whole_bar_price(how, order, bar)
                venue.desk.execute(book, order, quantity, price, rule, _TAKER, budget, ts, bar)
        if order.alive:
            order.arrived = True
            book.place(order)
    return True


def _is_in_reach(order: Working, bar: Bar) -> bool:
    limit = order.order.limit_price
    assert limit is not None, "a plain order has its price"
    return limit >= bar.low if order.buys else limit <= bar.high
