"""One pass of a symbol's orders along the market's path, event by event.

How it works: every order that the market reaches is asked for its next event; the events go on a heap together with
what happens at a time (orders that arrive, cancels, amendments, expiries), and are handled in the order in which the
path comes to them. Handling one may end other orders (their events are then skipped), use up volume, or turn an order
into another kind, which is then asked again from that place on. An order is matched at most once in a pass.
"""

from __future__ import annotations

import heapq
from typing import Final

from components.broker.book import ARRIVE, EXPIRE, Action, Book
from components.broker.desk import Desk
from components.broker.market import Market
from components.broker.matching import cancel_at_once, match, work_triggered
from components.broker.path import Place, position_at
from components.broker.pricing import Event, Terms, View, next_event, trail
from components.broker.requests import perform
from components.broker.session import SessionEnd
from components.broker.working import AFTER_TRIGGER, AT_ONCE, Working
from schemas import OrderType, ReportType, TimeInForce

_LIMIT: Final = OrderType.LIMIT
_TRAILING_STOP: Final = OrderType.TRAILING_STOP
_DAY: Final = TimeInForce.DAY

ACTION_RANK: Final = -1
"""What happens at a time comes before the matches at the same place."""

_Entry = tuple[float, int, float, int, int, Working, int, Event | Action]


class Walk:
    """Takes one book along one market. Made for one pass, then thrown away."""

    def __init__(self, desk: Desk, book: Book, market: Market, terms: Terms, session_end: SessionEnd) -> None:
        self._desk = desk
        self._book = book
        self._market = market
        self._terms = terms
        self._session_end = session_end
        self._untraded = market.untraded
        self._heap: list[_Entry] = []
        self._pushed = 0

    def run(self, actions: list[Action], low: float, high: float) -> None:
        """Handle the actions that are due, and all that the market does to orders between `low` and `high`."""
        for action in actions:
            self._push(self._position(action), ACTION_RANK, 0.0, action.number, action.order, action)
        for order in self._book.reached(low, high):
            self._ask(order, self._market.place(order.buys, 0.0), self._market.moment(0.0))
        self._handle_events()

    def run_limits(self, price: float) -> None:
        """Only the limit orders that rest in the book meet the market, a single price."""
        for order in self._book.reached(price, price):
            if order.kind is _LIMIT and order.rested:
                self._ask(order, self._market.place(order.buys, 0.0), self._market.moment(0.0))
        self._handle_events()

    def meet(self, order: Working) -> None:
        """Only this order meets the market, which is a single price, at this moment."""
        self._meet(order, self._market.place(order.buys, 0.0))
        self._handle_events()

    def _position(self, action: Action) -> float:
        """Where on the path an action takes place; a bar that closes after an order's expiry never fills it."""
        if self._market.where != "bar" or action.what == EXPIRE:
            return 0.0
        return position_at(action.ts, self._market.ts, self._book.interval)

    def _handle_events(self) -> None:
        while self._heap:
            position, rank, depth, number, _, order, version, what = heapq.heappop(self._heap)
            if isinstance(what, Action):
                self._act(what, self._market.place(order.buys, position))
            elif order.alive and order.version == version:
                if number != order.number:
                    # It has lost its time priority since.
                    self._push(position, rank, depth, order.number, order, what)
                elif what.rule:
                    match(self._desk, self._market, order, what)
                else:
                    self._trigger(order, what)

    def _push(
        self, position: float, rank: int, depth: float, number: int, order: Working, what: Event | Action
    ) -> None:
        self._pushed += 1
        heapq.heappush(self._heap, (position, rank, depth, number, self._pushed, order, order.version, what))

    def _act(self, action: Action, here: Place) -> None:
        order = action.order
        if action.what == ARRIVE:
            if order.alive:
                self._arrive(order, here)
            return
        version = order.version
        perform(self._desk, action)
        if order.version != version and order.arrived:
            self._ask(order, here, self._market.moment(here.position))

    def _arrive(self, order: Working, here: Place) -> None:
        if order.order.time_in_force is _DAY:
            order.expire_ts = self._session_end(self._market.ts)
            self._desk.schedule(order.expire_ts, EXPIRE, order)
        self._meet(order, here)
        if order.alive:
            order.arrived = True
            self._book.place(order)

    def _meet(self, order: Working, here: Place) -> None:
        """An order has come to the market, where it may find nobody."""
        self._ask(order, here, self._market.moment(here.position))
        at_once = order.order.time_in_force in AT_ONCE and order.kind not in AFTER_TRIGGER
        if at_once and self._market.is_void(order.buys):
            cancel_at_once(self._desk, order, "there is no price for it to meet")

    def _ask(self, order: Working, here: Place, moment: str) -> None:
        """Put the order's next event on the heap, if there is a price for it to meet."""
        market, kind = self._market, order.kind
        side = market.buy if order.sign > 0 else market.sell
        if side.absent or self._untraded:
            return
        view = View(market, side.path, here, moment, self._terms)
        if kind is _TRAILING_STOP:
            event, order.stop = trail(order, view)
        else:
            event = next_event(order, view)
        if kind is _LIMIT and not order.rested:
            self._meet_first(order, event, here)
        if event is not None:
            self._push(event.position, event.rank, event.depth, order.number, order, event)

    def _meet_first(self, order: Working, event: Event | None, here: Place) -> None:
        """A limit order meets the market for the first time: some must match now, some must not, others may rest."""
        at_once = event is not None and event.position == here.position
        if at_once and order.order.post_only:
            reason = f"it would take liquidity: the market is at {here.price:.12g}"
            report = ReportType.CANCELLED if order.filled else ReportType.REJECTED
            self._desk.end(order, report, "POST_ONLY", reason)
        elif not at_once and order.order.time_in_force in AT_ONCE:
            cancel_at_once(self._desk, order, f"the market is at {here.price:.12g}, which does not meet its limit")
        order.rested = True
        if order.alive and order.arrived:
            self._book.remove(order)
            self._book.place(order)

    def _trigger(self, order: Working, event: Event) -> None:
        """An order becomes a limit order, and may match from here on."""
        work_triggered(self._desk, order)
        moment = "trigger" if self._market.where == "bar" else self._market.where
        self._ask(order, Place(event.position, event.price), moment)
