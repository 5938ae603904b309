"""The venue's market data: what each record does to the orders."""

from __future__ import annotations

import heapq
import math
from typing import Final

from bus.runtime.block import Block
from components.broker.book import EXPIRE, Book
from components.broker.market import is_quoted, tick_market
from components.broker.matching import match_at_end
from components.broker.openings import is_traded, meet_plainly
from components.broker.requests import perform
from components.broker.venue import Venue
from schemas import Bar, Quote, Trade

_FEW_ORDERS: Final = 64
"""While more orders work, bars of several symbols are handed out one by one."""


def on_bar(venue: Venue, bar: Bar) -> None:
    """Orders meet a bar, unless the symbol has ticks."""
    ts, symbol, desk = bar.ts, bar.symbol, venue.desk
    venue.data_ts = ts
    if desk.wake_ups:
        _wake(venue, ts, symbol)
    book = desk.books[symbol]
    if book.ticks:
        _catch_up(venue, book, ts, ts)
        return
    if book.at_close:
        _close_session(venue, book, ts)
    book.observe(bar)
    if book.agenda and book.agenda[0].ts <= ts:
        _meet(venue, book, bar)
    elif bar.low <= book.floor or bar.high >= book.ceiling:
        if not meet_plainly(venue, book, bar, book.reached(bar.low, bar.high)):
            _meet(venue, book, bar)
    elif (book.arriving or book.fresh) and not meet_plainly(venue, book, bar):
        _meet(venue, book, bar)


def _meet(venue: Venue, book: Book, bar: Bar) -> None:
    """Orders meet a bar, event by event."""
    actions = book.due(bar.ts - 1, arrivals=True)
    if actions or book.is_reached(bar.low, bar.high):
        if venue.before_walk is not None:
            venue.before_walk(book, bar, actions)
        venue.walk(book, venue.market(book)).run(actions, bar.low, bar.high)
    _act(venue, book, bar.ts)


def untouched(venue: Venue, bars: Block, start: int, most: int) -> int:
    """How many bars from `start` on, at most `most`, reach no order and come before anything is due."""
    if bars.only("symbol") is None:
        return _untouched_of_many(venue, bars, start, most)
    first, wake_ups = bars[start], venue.desk.wake_ups
    book = venue.desk.books[first.symbol]
    floor, ceiling = book.floor, book.ceiling
    if book.ticks or book.arriving or not (first.low > floor and first.high < ceiling):
        return 0
    if book.fresh and not (book.arriving_by < first.ts and is_traded(venue, first)):
        return 0
    due = wake_ups[0][0] if wake_ups else math.inf
    if book.agenda:
        due = min(due, book.agenda[0].ts)
    end = min(start + most, len(bars))
    is_between = bars.bounds("low")[0] > floor and bars.bounds("high")[1] < ceiling
    if not is_between:
        is_between = min(bars.column("low")[start:end]) > floor and max(bars.column("high")[start:end]) < ceiling
    if is_between and bars[end - 1].ts < due:
        return end - start
    ahead = enumerate(bars[start:end])
    return next(n for n, bar in ahead if bar.ts >= due or not (bar.low > floor and bar.high < ceiling))


def _untouched_of_many(venue: Venue, bars: Block, start: int, most: int) -> int:
    """The same for bars of several symbols; 0 also while many orders work."""
    desk, end = venue.desk, min(start + most, len(bars))
    if len(desk.orders) > _FEW_ORDERS:
        return 0
    due = desk.wake_ups[0][0] if desk.wake_ups else math.inf
    books = {order.order.symbol: desk.books[order.order.symbol] for order in desk.orders.values()}
    for number, bar in enumerate(bars[start:end]):
        if bar.ts >= due or (bar.symbol in books and _may_matter(books[bar.symbol], bar)):
            return number
    return end - start


def _may_matter(book: Book, bar: Bar) -> bool:
    """Whether a bar may do something to orders of its symbol."""
    if book.ticks or book.arriving or book.fresh or (book.agenda and book.agenda[0].ts <= bar.ts):
        return True
    return not (bar.low > book.floor and bar.high < book.ceiling)


def on_idle_bars(venue: Venue, bars: Block, start: int, end: int) -> None:
    """Bars that fill no order, and at which nothing is due: they are only to be remembered.

    Orders that come with the first of them begin to rest.
    """
    desk, symbol, last = venue.desk, bars.only("symbol"), bars[end - 1]
    if symbol is not None:
        book = desk.books[symbol]
        if book.fresh:
            book.rest()
        if not book.ticks:
            book.observe_all(bars, start, end)
    else:
        for bar in bars[start:end]:
            book = desk.books[bar.symbol]
            if book.arriving or book.fresh or book.agenda:  # perhaps of orders that were cancelled before they came
                on_bar(venue, bar)
            elif not book.ticks:
                book.observe(bar)
    venue.data_ts = last.ts
    if desk.wake_ups:
        _wake(venue, last.ts, last.symbol)


def on_quote(venue: Venue, quote: Quote) -> None:
    """Orders meet a quote."""
    book = venue.desk.books[quote.symbol]
    book.quoted = True
    low, high = quote.bid, quote.ask
    if is_quoted(quote.bid, quote.bid_quantity):
        book.bid = quote.bid
    else:
        low = quote.ask
    if is_quoted(quote.ask, quote.ask_quantity):
        book.ask = quote.ask
    else:
        high = quote.bid
    _on_tick(venue, book, quote, low, high)


def on_trade(venue: Venue, trade: Trade) -> None:
    """Orders meet a trade; of a symbol with quotes only resting limit orders do, the others meet quotes."""
    book = venue.desk.books[trade.symbol]
    if not book.quoted:
        _on_tick(venue, book, trade, trade.price, trade.price)
        return
    _wake(venue, trade.ts, trade.symbol)
    _catch_up(venue, book, trade.ts, trade.ts)
    market = tick_market(trade, venue.settings.max_volume_pct is not None, book.lot_size)
    venue.walk(book, market).run_limits(trade.price)


def time_passes(venue: Venue, ts: int) -> None:
    """It is `ts` (ns UTC), and no data have said so: what was due by then is done, a session that ended is closed."""
    wake_ups = venue.desk.wake_ups
    while wake_ups and wake_ups[0][0] <= ts:
        _, symbol = heapq.heappop(wake_ups)
        _catch_up(venue, venue.desk.books[symbol], ts + 1, ts)


def end_of_data(venue: Venue) -> None:
    """There are no more data: what is on its way arrives at once, and orders on the close fill."""
    venue.end()
    for book in list(venue.desk.books.values()):
        for action in book.due(max((a.ts for a in book.agenda), default=0), arrivals=False):
            if action.what != EXPIRE:
                perform(venue.desk, action)
        _fill_on_close(venue, book)


def _on_tick(venue: Venue, book: Book, tick: Quote | Trade, low: float, high: float) -> None:
    _wake(venue, tick.ts, tick.symbol)
    book.ticks = True
    if book.at_close:
        _close_session(venue, book, tick.ts)
    book.observe(tick)
    if not book.is_idle(low, high, tick.ts):
        venue.walk(book, venue.market(book)).run(book.due(tick.ts, arrivals=True), low, high)


def _wake(venue: Venue, ts: int, symbol: str) -> None:
    """Time has come to `ts`: what was due before it is done. The symbol's own agenda is left to it."""
    venue.data_ts = ts
    wake_ups = venue.desk.wake_ups
    while wake_ups and wake_ups[0][0] < ts:
        _, other = heapq.heappop(wake_ups)
        if other != symbol:
            _catch_up(venue, venue.desk.books[other], ts, ts - 1)


def _catch_up(venue: Venue, book: Book, ts: int, until: int) -> None:
    """Time has come to `ts` without a record that the book's orders meet: do what was due `until` then."""
    if book.at_close:
        _close_session(venue, book, ts)
    _act(venue, book, until)


def _act(venue: Venue, book: Book, ts: int) -> None:
    """Do what is due by `ts` (ns UTC), save that no order arrives."""
    if book.agenda:
        for action in book.due(ts, arrivals=False):
            perform(venue.desk, action)


def _close_session(venue: Venue, book: Book, ts: int) -> None:
    """Fill orders on the close if `ts` is in a new session: only now it is known which record ended the old."""
    if venue.settings.session_end(book.last_ts) < ts:
        _fill_on_close(venue, book)


def _fill_on_close(venue: Venue, book: Book) -> None:
    for order in list(book.at_close.values()):
        if order.alive:
            match_at_end(venue.desk, venue.market(book), order, "market_on_close")
