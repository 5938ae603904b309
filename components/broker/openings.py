"""Bars in which plain orders come at the open, or limit orders that rest are reached, and nothing else happens.

They are the usual bars, and done without a walk.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from components.broker.book import Book
from components.broker.market import Budget, bar_budget
from components.broker.path import bar_path, position_at
from components.broker.pricing import whole_bar_price
from components.broker.venue import Venue
from components.broker.working import Working
from schemas import Bar, Liquidity, OrderType

_MARKET: Final = OrderType.MARKET
_LIMIT: Final = OrderType.LIMIT
_TAKER: Final = Liquidity.TAKER
_MAKER: Final = Liquidity.MAKER


def meet_plainly(
    venue: Venue, book: Book, bar: Bar, coming: Sequence[Working], latest: int, resting: Sequence[Working] = ()
) -> bool:
    """Do what a walk would, for a fraction of its cost; or nothing, and say so, if more happens than is seen to here.

    Plain orders are `coming`, by number, the last of them at `latest` (ns UTC); market orders that came before and wait
    for volume may be among them. Of the orders that were there the bar reaches those that are `resting`: limit orders,
    plain too.
    """
    ts, interval = bar.ts, book.interval
    if latest >= ts or (latest > ts - interval and position_at(latest, ts, interval)) or venue.before_walk is not None:
        return False
    new: list[Working] = []
    for order in coming:
        if order.kind is not _MARKET and order.alive and _is_in_reach(order, bar):
            if order.order.post_only or not venue.fills_plainly:
                return False
            new.append(order)
    budget = book.budget = bar_budget(bar.volume, venue.settings.max_volume_pct, book.lot_size)
    if coming:
        _open(venue, book, bar, coming, budget)
    if (new or resting) and (bar.volume > 0 or budget.left is None):
        _fill_limits(venue, book, bar, [*resting, *new], new)
    return True


def bounds_at_rest(venue: Venue, book: Book, bar: Bar) -> tuple[float, float] | None:
    """Prices strictly between which nothing is reached, if all that arrives with a bar are limit orders, which begin to
    rest; None if anything else may happen. Whether the bar itself stays between them is not asked here.
    """
    floor, ceiling, begins = book.floor, book.ceiling, bar.ts - book.interval
    is_untraded = bar.volume <= 0 and venue.settings.max_volume_pct is not None
    if not book.interval or is_untraded or venue.before_walk is not None:
        return None
    for order in book.arriving:
        if order.kind is not _LIMIT or order.arrival_ts > begins:
            return None
        if order.alive:
            limit = _limit_of(order)
            if order.buys and limit > floor:
                floor = limit
            elif not order.buys and limit < ceiling:
                ceiling = limit
    return floor, ceiling


def begin_to_rest(book: Book) -> None:
    """Let limit orders rest that come with a bar of which `bounds_at_rest` said that it reaches none of them."""
    for order in book.arriving:
        if order.alive:
            order.rested = order.arrived = True
            book.place(order)
    book.arriving.clear()


def plain_among(book: Book, bar: Bar) -> tuple[list[Working], list[Working]] | None:
    """Market orders that wait for volume, and limit orders that rest, if a bar reaches no others than plain ones."""
    reached = book.reached(bar.low, bar.high)
    for order in reached:
        if not (order.plain and (order.rested or order.kind is _MARKET)):
            return None
    waiting = [order for order in reached if order.kind is _MARKET] if book.restless else []
    return waiting, [order for order in reached if order.rested and _is_in_reach(order, bar)]


def _open(venue: Venue, book: Book, bar: Bar, orders: Sequence[Working], budget: Budget) -> None:
    """Fill market orders, and let limit orders rest."""
    how = venue.settings.terms.fill_price
    for order in orders:
        if not order.alive:
            continue
        left, wanted = budget.left, order.leaves
        if order.kind is _LIMIT:
            if bar.volume > 0 or left is None:
                order.rested = True
        else:
            quantity = wanted if left is None or wanted <= left else left
            if quantity > 0:
                price, rule = (bar.open, "market_open") if how == "next_open" else whole_bar_price(how, order, bar)
                venue.desk.execute(book, order, quantity, price, rule, _TAKER, budget, bar.ts, bar)
        if order.alive:
            order.arrived = True
            book.place(order)


def _fill_limits(venue: Venue, book: Book, bar: Bar, orders: list[Working], new: list[Working]) -> None:
    """Fill limit orders that the bar reaches; those that are `new` take liquidity if the open meets them."""
    budget = book.budget
    assert budget is not None, "it is made before"
    for order in orders if len(orders) < 2 else _along_the_path(venue, bar, orders):
        quantity = budget.offer(order.leaves)
        if quantity > 0:
            limit = _limit_of(order)
            price, rule, liquidity = limit, "limit_price", _MAKER
            if bar.open <= limit if order.buys else bar.open >= limit:
                price, rule, liquidity = bar.open, "limit_open", _TAKER if order in new else _MAKER
            venue.desk.execute(book, order, quantity, price, rule, liquidity, budget, bar.ts, bar)


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


def _is_in_reach(order: Working, bar: Bar) -> bool:
    limit = _limit_of(order)
    return limit >= bar.low if order.buys else limit <= bar.high


def _limit_of(order: Working) -> float:
    limit = order.order.limit_price
    assert limit is not None, "a plain limit order has its price"
    return limit
