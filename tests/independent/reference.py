"""A simulated exchange in plain loops: every order looks at every bar. Shares no code with the engine.

It answers two questions. What should our rules give? And where backtrader's rules are others on purpose, do its fills
follow from those rules alone? The rules that differ are in `Book`; all else is the same for both.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import NamedTuple

from tests.independent.bars import Row, Rows
from tests.independent.outcome import CANCELLED, EXPIRED, FILLED, WORKING, Costs, Execution, Outcome, Point
from tests.independent.rules import Cancel, Kind, Rule, Ticket


class View(NamedTuple):
    """A bar as a buyer sees it. For a seller all prices are negated, so that every rule is written once, for buys."""

    open: float
    high: float
    low: float
    close: float
    low_first: bool
    side: int


class Price(NamedTuple):
    """What an order would fill at. `takes`: it takes liquidity, so it slips."""

    price: float
    takes: bool
    at_open: bool = False


@dataclass
class Live:
    """An order that is not final. `met`: its limit has met the market before."""

    ticket: Ticket
    day: dt.date
    active: bool
    met: bool = False
    triggered: bool = False


@dataclass(frozen=True)
class Book:
    """The rules that differ.

    `comes_back(view, limit)`: after a stop-limit order's stop was touched inside the bar, does the price come back to
    its better limit in the same bar? `goes_first(one, other, low_first)`: of two orders that exclude each other, in a
    bar that reaches both, is it the one that was placed first?
    """

    comes_back: Callable[[View, float], bool]
    goes_first: Callable[[Price, Price, bool], bool]


def _comes_back_on_the_path(view: View, limit: float) -> bool:
    return (view.close if view.low_first else view.low) <= limit


def _comes_back_by_the_close(view: View, limit: float) -> bool:
    falls = view.open > view.close if view.side > 0 else view.open >= view.close
    return falls and view.close <= limit


def _goes_first_on_the_path(one: Price, other: Price, low_first: bool) -> bool:
    if one.at_open or other.at_open:
        return one.at_open
    return (one.price < other.price) == low_first


OURS = Book(_comes_back_on_the_path, _goes_first_on_the_path)
BACKTRADERS = Book(_comes_back_by_the_close, lambda _one, _other, _low_first: True)


@dataclass
class Exchange:
    """The orders, the account, and what has come of both."""

    book: Book
    costs: Costs
    cash: float
    live: dict[str, dict[str, Live]] = field(default_factory=dict)
    positions: dict[str, float] = field(default_factory=dict)
    outcome: Outcome = field(default_factory=Outcome)
    conflicts: int = 0
    """How often a bar reached two orders of which one cancels the other."""

    def meet(self, symbol: str, bar: Row) -> None:
        """Let every working order of a symbol meet a bar."""
        orders = self.live.setdefault(symbol, {})
        self._expire(orders, bar)
        prices = {name: price for name, one in orders.items() if one.active and (price := self._price(one, bar))}
        for name in self._without_excluded(prices, orders, low_first(bar)):
            self._fill(orders[name], prices[name], bar)
        for name in prices:
            if self.outcome.states[name] == FILLED:
                self._settle_family(orders, orders.pop(name).ticket)

    def place(self, ticket: Ticket, day: dt.date) -> None:
        """Take an order; it meets the next bar."""
        self.live[ticket.symbol][ticket.name] = Live(ticket, day, active=not ticket.parent)
        self.outcome.states[ticket.name] = WORKING

    def end(self, orders: dict[str, Live], name: str, state: str) -> None:
        """End an order, and those that wait for it."""
        if orders.pop(name, None) is not None:
            self.outcome.states[name] = state
        for child in [other for other, one in orders.items() if one.ticket.parent == name]:
            self.end(orders, child, CANCELLED)

    def cancel(self, symbol: str, name: str) -> None:
        """Cancel an order, and those that wait for it; one that has filled is past cancelling, and so are its exits."""
        orders = self.live[symbol]
        if name in orders:
            self.end(orders, name, CANCELLED)

    def close_day(self, day: dt.date, closes: dict[str, float]) -> None:
        """Value the account."""
        value = sum(quantity * closes[symbol] for symbol, quantity in self.positions.items())
        self.outcome.curve.append(Point(day, self.cash, self.cash + value))

    def _expire(self, orders: dict[str, Live], bar: Row) -> None:
        for name, one in list(orders.items()):
            if one.ticket.days and bar.day > one.day + dt.timedelta(days=one.ticket.days):
                self.end(orders, name, EXPIRED)

    def _price(self, one: Live, bar: Row) -> Price | None:
        side = one.ticket.side
        price = price_of(one, view_of(bar, side), self.book)
        if price is None:
            return None
        real = side * price.price
        if price.takes:
            real *= 1 + side * self.costs.slippage
            if self.costs.within_bar:
                real = min(max(real, bar.low), bar.high)
            if one.ticket.limit is not None and side * (real - one.ticket.limit) > 0:
                real = one.ticket.limit
        return price._replace(price=real)

    def _without_excluded(self, prices: dict[str, Price], orders: dict[str, Live], falls_first: bool) -> list[str]:
        winners: dict[str, str] = {}
        for name, price in prices.items():
            group = orders[name].ticket.group or name
            rival = winners.setdefault(group, name)
            if rival != name:
                self.conflicts += 1
                if not self.book.goes_first(prices[rival], price, falls_first):
                    winners[group] = name
        return list(winners.values())

    def _fill(self, one: Live, price: Price, bar: Row) -> None:
        ticket, paid = one.ticket, price.price
        signed = float(ticket.side * ticket.quantity)
        commission = abs(signed) * paid * self.costs.commission
        self.cash -= signed * paid + commission
        self.positions[ticket.symbol] = self.positions.get(ticket.symbol, 0.0) + signed
        self.outcome.executions[ticket.name] = Execution(
            ticket.symbol, bar.day, ticket.side, abs(signed), paid, commission
        )
        self.outcome.states[ticket.name] = FILLED

    def _settle_family(self, orders: dict[str, Live], done: Ticket) -> None:
        for name, one in list(orders.items()):
            if one.ticket.parent == done.name:
                one.active = True
            elif done.group and one.ticket.group == done.group:
                self.end(orders, name, CANCELLED)


def run_rule(rows: Rows, costs: Costs, cash: float, rule: Rule, book: Book = OURS) -> tuple[Outcome, int]:
    """The backtest of a rule, and how often a bar reached two orders that exclude each other."""
    exchange = Exchange(book, costs, cash)
    for n, bars in enumerate(zip(*rows.values(), strict=True), 1):
        for symbol, bar in zip(rows, bars, strict=True):
            exchange.meet(symbol, bar)
            for wanted in rule(symbol, n, bar):
                if isinstance(wanted, Cancel):
                    exchange.cancel(symbol, wanted.name)
                else:
                    exchange.place(wanted, bar.day)
        exchange.close_day(bars[0].day, {symbol: bar.close for symbol, bar in zip(rows, bars, strict=True)})
    return exchange.outcome, exchange.conflicts


def low_first(bar: Row) -> bool:
    """Whether the low is nearer to the open than the high, or as near."""
    return not bar.high - bar.open < bar.open - bar.low


def view_of(bar: Row, side: int) -> View:
    """The bar as an order of this side sees it."""
    if side > 0:
        return View(*bar[1:], low_first(bar), side)
    return View(-bar.open, -bar.low, -bar.high, -bar.close, not low_first(bar), side)


def price_of(one: Live, view: View, book: Book) -> Price | None:
    """What the order fills at in this bar, if it does, and nothing else stands against it."""
    ticket = one.ticket
    limit = None if ticket.limit is None else ticket.side * ticket.limit
    stop = None if ticket.stop is None else ticket.side * ticket.stop
    if ticket.kind is Kind.MARKET:
        return Price(view.open, takes=True, at_open=True)
    if ticket.kind is Kind.STOP:
        return _at_stop(view, stop)
    if ticket.kind is Kind.LIMIT or one.triggered:
        price = _at_limit(view, limit, takes=not one.met)
        one.met = True
        return price
    return _at_stop_limit(one, view, stop, limit, book)


def _at_stop(view: View, stop: float) -> Price | None:
    if view.open >= stop:
        return Price(view.open, takes=True, at_open=True)
    return Price(stop, takes=True) if view.high >= stop else None


def _at_limit(view: View, limit: float, takes: bool) -> Price | None:
    if view.open <= limit:
        return Price(view.open, takes, at_open=True)
    return Price(limit, takes=False) if view.low <= limit else None


def _at_stop_limit(one: Live, view: View, stop: float, limit: float, book: Book) -> Price | None:
    touched = _at_stop(view, stop)
    if touched is None:
        return None
    one.triggered = one.met = True
    if touched.at_open:
        return _at_limit(view, limit, takes=True)
    if limit >= stop:
        return touched
    return Price(limit, takes=False) if book.comes_back(view, limit) else None
