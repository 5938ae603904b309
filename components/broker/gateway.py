"""The venue's way in: orders, cancels and amendments, which take effect when they have reached the market.

Which data an order may meet follows from time alone. An order that reaches the market at time A meets bars that close
after A (never the one whose close it has seen) and ticks at A or later. If A lies inside a bar, the order meets only
the rest of that bar's path. Cancels and amendments likewise do not reach back: if other symbols' data of this very
time has been seen, and this symbol's not yet, they take effect after it.
"""

from __future__ import annotations

from components.broker.book import ARRIVE, CANCEL, EXPIRE, REPLACE, Action, Book
from components.broker.market import Market, latest_market, price_market
from components.broker.matching import AUCTIONS, match_at_end
from components.broker.requests import amend, cancel
from components.broker.venue import Venue
from components.broker.working import Working
from components.models.latency import Kind
from schemas import Order, OrderType, ReportType


def submit(venue: Venue, order: Order) -> None:
    """Work an order. One whose id is known already is a repeat and changes nothing."""
    desk = venue.desk
    working = desk.enter(order)
    if working is None:
        return
    if working.plain and venue.opens_plainly:
        if venue.settings.delay_ns is not None:
            working.arrival_ts += venue.settings.delay_ns("order")
        desk.books[order.symbol].expect(working)
        return
    if working.expire_ts is not None:
        desk.schedule(working.expire_ts, EXPIRE, working)
    if order.order_type in AUCTIONS:
        venue.has_auctions = True
    if venue.ended and order.order_type is OrderType.MARKET:
        _fill_at_last_price(venue, working)
    else:
        _send(venue, working)


def submit_at(venue: Venue, order: Order, price: float) -> None:
    """Fill an order at once and in full at a price that the caller names; costs apply."""
    working = venue.desk.enter(order)
    if working is not None:
        match_at_end(venue.desk, price_market(venue.now, price, price), working, "given_price")


def request_cancel(venue: Venue, order_id: str, reason: str) -> None:
    """Cancel an order, now or when the request has reached the market."""
    order = venue.desk.orders.get(order_id)
    ts = None if order is None else _effective(venue, order, "cancel")
    if order is None or ts is None:
        cancel(venue.desk, order_id, reason)
    else:
        venue.desk.schedule(ts, CANCEL, order, reason=reason)


def request_replace(venue: Venue, amended: Order) -> None:
    """Put new terms in place of an order's, now or when the request has reached the market."""
    order = venue.desk.orders.get(amended.order_id)
    ts = None if order is None else _effective(venue, order, "amend")
    if order is None or ts is None:
        amend(venue.desk, amended)
    else:
        venue.desk.schedule(ts, REPLACE, order, amended)


def _effective(venue: Venue, order: Working, kind: Kind) -> int | None:
    """When a request takes effect (ns UTC), None for at once. It never overtakes its order."""
    if venue.ended:
        return None
    now, delay_ns = venue.now, venue.settings.delay_ns
    ts = now if delay_ns is None else now + delay_ns(kind)
    if ts < order.arrival_ts:
        ts = order.arrival_ts
    # Data of this very time have been seen, and the symbol's not yet: it comes after them.
    is_late = venue.data_ts == now and 0 < venue.desk.books[order.order.symbol].last_ts < now
    return ts if is_late or ts > now else None


def _send(venue: Venue, order: Working) -> None:
    settings, desk, symbol = venue.settings, venue.desk, order.order.symbol
    now = order.arrival_ts = venue.now
    if settings.delay_ns is not None:
        order.arrival_ts += settings.delay_ns("order")
    book = desk.books[symbol]
    if settings.terms.fill_price == "latest" and order.arrival_ts == now and book.last is not None:
        venue.walk(book, latest_market(venue.market(book))).meet(order)
    if order.alive:
        book.schedule(Action(order.arrival_ts, next(desk.numbers), ARRIVE, order))


def _fill_at_last_price(venue: Venue, order: Working) -> None:
    book = venue.desk.books[order.order.symbol]
    price = None if book.last is None else _last_price(venue.market(book), book, order.buys)
    if price is None:
        reason = f"{order.order.symbol} has had no price in this run that a {order.order.direction} order could meet"
        venue.desk.end(order, ReportType.REJECTED, "NO_PRICE", reason)
    else:
        last = venue.market(book)
        match_at_end(venue.desk, price_market(last.ts, price, price, last.bar), order, "last_close")


def _last_price(last: Market, book: Book, buys: bool) -> float | None:
    """The price at the end of the last market; of a side that its quote does not show, the last that was quoted."""
    side = last.side(buys)
    if side.absent:
        return book.ask if buys else book.bid
    return side.path.end
