"""How much depends on the guess about the path inside a bar.

Every bar that orders meet is also walked with the high first and with the low first, on copies of the orders that it
reaches, and the fills are compared.
"""

from __future__ import annotations

import copy
import itertools

from msgspec.structs import replace

from bus.runtime.clock import Clock
from components.broker.book import Action, Book
from components.broker.desk import Desk
from components.broker.fills import FREE, Costs, Slippage
from components.broker.path import PathStyle, bar_path
from components.broker.venue import MatchSettings, mark_session, market_of
from components.broker.walk import Walk
from components.broker.working import Working
from schemas import AmbiguityReport, Bar, Fill, Message

_Outcome = dict[str, tuple[float, float, float]]
"""What an order filled in the bar, by id: quantity, price, and P&L at the bar's close."""


class Ambiguity:
    """Counts the bars and orders whose fills depend on the path, and the money."""

    def __init__(self, settings: MatchSettings, slippage: Slippage, within_bar: bool) -> None:
        self._settings = settings
        self._costs = Costs(slippage, FREE.commission, within_bar)
        self._bars = 0
        self._orders = 0
        self._better = 0.0
        self._worse = 0.0

    def compare(self, clock: Clock, book: Book, bar: Bar, actions: list[Action]) -> None:
        """Walk copies of what the bar reaches along both paths; `actions` are due in it. Changes nothing of theirs."""
        high_first, low_first = (self._outcome(clock, book, bar, actions, path) for path in _PATHS)
        if high_first == low_first:
            return
        is_high_first = bar_path(bar, self._settings.path) == bar_path(bar, "OHLC")
        chosen, other = (high_first, low_first) if is_high_first else (low_first, high_first)
        difference = _pnl(other) - _pnl(chosen)
        self._bars += 1
        self._orders += sum(chosen.get(order_id) != other.get(order_id) for order_id in chosen | other)
        self._better += max(difference, 0.0)
        self._worse += min(difference, 0.0)

    def report(self, broker: str, ts: int) -> AmbiguityReport:
        """What was found so far."""
        return AmbiguityReport(ts, broker, self._bars, self._orders, self._better, self._worse)

    def _outcome(self, clock: Clock, book: Book, bar: Bar, actions: list[Action], path: PathStyle) -> _Outcome:
        said: list[Message] = []
        shadow = Desk("shadow", clock, said.append, self._costs, lambda _: book.instrument)
        shadow_book, shadow_actions = _copy(book, bar, actions, shadow)
        settings = replace(self._settings, path=path)
        market = market_of(shadow_book, settings)
        mark_session(market, shadow_book, settings.session_end)
        walk = Walk(shadow, shadow_book, market, settings.terms, settings.session_end)
        walk.run(shadow_actions, bar.low, bar.high)
        return {
            fill.order_id: (fill.quantity, fill.price, _pnl_at(bar.close, fill, book.instrument.multiplier))
            for fill in said
            if isinstance(fill, Fill)
        }


_PATHS: tuple[PathStyle, PathStyle] = ("OHLC", "OLHC")


def _copy(book: Book, bar: Bar, actions: list[Action], shadow: Desk) -> tuple[Book, list[Action]]:
    """The book and the actions with copies of the orders concerned, entered at the shadow desk."""
    copies: dict[str, Working] = {}
    concerned = [*book.reached(bar.low, bar.high), *(action.order for action in actions if action.order.alive)]
    for order in sorted(concerned, key=lambda order: order.number):
        order_id = order.order.order_id
        if order_id not in copies:
            copies[order_id] = copy.copy(order)
            copies[order_id].level = None
            shadow.adopt(copies[order_id])
    # What is amended on the way comes after all that is there, and has a number of its own.
    shadow.numbers = itertools.count(1 + max((order.number for order in copies.values()), default=0))
    twin = shadow.books[book.instrument.symbol]
    twin.position = book.position
    twin.last, twin.last_ts, twin.previous_ts, twin.interval = book.last, book.last_ts, book.previous_ts, book.interval
    for order in copies.values():
        if order.arrived:
            twin.place(order)
    return twin, [replace(a, order=copies[a.order.order.order_id]) for a in actions if a.order.alive]


def _pnl_at(close: float, fill: Fill, multiplier: float) -> float:
    return fill.direction.sign * fill.quantity * (close - fill.price) * multiplier


def _pnl(outcome: _Outcome) -> float:
    return sum(pnl for _, _, pnl in outcome.values())
