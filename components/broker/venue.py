"""The simulated venue: the desk's orders, the market that they meet, and what time it is there."""

from __future__ import annotations

from collections.abc import Callable

import msgspec

from bus.runtime.clock import Clock
from components.broker.book import Action, Book
from components.broker.desk import Desk
from components.broker.market import Market, bar_budget, bar_market, tick_market
from components.broker.path import PathStyle
from components.broker.pricing import Terms
from components.broker.session import SessionEnd
from components.broker.walk import Walk
from components.models.latency import Kind
from schemas import Bar


class MatchSettings(msgspec.Struct, frozen=True):
    """How orders are matched.

    `max_volume_pct` is a fraction of a bar's volume; None for no cap, on ticks neither. `delay_ns` draws how long
    something takes to reach the market; None when all is there at once.
    """

    terms: Terms
    path: PathStyle
    max_volume_pct: float | None
    session_end: SessionEnd
    delay_ns: Callable[[Kind], int] | None


class Venue:
    """What the gateway, which takes orders, and the feed, which takes market data, share."""

    def __init__(
        self,
        desk: Desk,
        clock: Clock,
        settings: MatchSettings,
        before_walk: Callable[[Book, Bar, list[Action]], None] | None = None,
    ) -> None:
        """`before_walk` is called before the orders of a book meet a bar, with the actions that are due."""
        self.desk = desk
        self.settings = settings
        self.before_walk = before_walk
        self.data_ts = 0
        """Time of the last market data (ns UTC), 0 before the first."""
        self.ending = False
        """Only data of one and the same, last timestamp are still to come: orders that come before them meet them."""
        self.ended = False
        """There are no more data."""
        self.has_auctions = False
        """Whether there has been an order on the open or on the close."""
        self.opens_plainly = before_walk is None and settings.terms.fill_price != "latest"
        """Whether plain orders that come at the open of a bar need no walk; not at the end of the data."""
        self.fills_plainly = before_walk is None and settings.terms == Terms("next_open", strict=False)
        """Whether limit orders need none either: they fill at touch, and market orders before them, at the open."""
        self._clock = clock

    @property
    def now(self) -> int:
        """The time (ns UTC) at which what comes now was sent."""
        return self.data_ts if self.ending else self._clock.now_ns

    def end_is_near(self) -> None:
        """Only data of one more timestamp are to come."""
        self.ending, self.opens_plainly = True, False

    def end(self) -> None:
        """No more data are to come."""
        self.ended, self.opens_plainly = True, False

    def market(self, book: Book) -> Market:
        """What orders meet at the book's last record; made once for each record, so that its budget is spent once."""
        market = book.market
        if market is None:
            market = book.market = market_of(book, self.settings)
            if self.has_auctions:
                mark_session(market, book, self.settings.session_end)
        return market

    def walk(self, book: Book, market: Market) -> Walk:
        """A pass of the book along a market."""
        return Walk(self.desk, book, market, self.settings.terms, self.settings.session_end)


def market_of(book: Book, settings: MatchSettings) -> Market:
    """What orders meet at the book's last record."""
    record, pct = book.last, settings.max_volume_pct
    assert record is not None, "asked for only when something was seen"
    if isinstance(record, Bar):
        return bar_market(record, settings.path, bar_budget(record, pct, book.lot_size))
    return tick_market(record, pct is not None, book.lot_size)


def mark_session(market: Market, book: Book, session_end: SessionEnd) -> None:
    """Say whether the market is a session's first or last.

    It is the first when the record before it is of another session, and the last when it ends with the session, or is
    a bar and the next one would end later.
    """
    end = session_end(market.ts)
    market.opens = not book.previous_ts or session_end(book.previous_ts) < market.ts
    market.closes = market.ts == end or (market.where == "bar" and market.ts + book.interval > end)
