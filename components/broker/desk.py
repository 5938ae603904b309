"""All orders of one broker: the only place that fills or ends one."""

from __future__ import annotations

import heapq
import itertools
from collections import deque
from collections.abc import Callable
from typing import Final

from bus.runtime.clock import Clock
from bus.runtime.component import Emit
from bus.runtime.settings import Instrument
from components.broker.book import REQUESTS, Action, Book
from components.broker.fills import FillWriter
from components.broker.groups import Groups
from components.broker.market import Market
from components.broker.pricing import Event
from components.broker.working import Working, missing, remainder, tidy
from schemas import BrokerReport, Order, OrderState, OrderType, ReportType

FINAL_ORDERS_KEPT: Final = 10_000
"""So many final orders are remembered, to tell a late cancel what became of its order."""

_FINAL_STATE: Final = {
    ReportType.CANCELLED: OrderState.CANCELLED,
    ReportType.EXPIRED: OrderState.EXPIRED,
    ReportType.REJECTED: OrderState.REJECTED,
}


class Desk:
    """Keeps the orders, their books, their groups, and the net position that the broker's own fills made."""

    def __init__(
        self, name: str, clock: Clock, emit: Emit, writer: FillWriter, instrument: Callable[[str], Instrument]
    ) -> None:
        self.orders: dict[str, Working] = {}
        self.final: dict[str, OrderState] = {}
        self.books: dict[str, Book] = {}
        self.positions: dict[str, float] = {}
        self.wake_ups: list[tuple[int, str]] = []
        """A heap of times (ns UTC) at which something of a symbol is due, whether or not its market moves."""
        self.numbers = itertools.count(1)
        """Numbers in the order of arrival."""
        self.in_flight = 0
        """Cancels and amendments that have not reached the market yet; each will be answered."""
        self._final_ids: deque[str] = deque()
        self._name = name
        self._clock = clock
        self._emit = emit
        self._writer = writer
        self._instrument = instrument
        self._groups = Groups()

    def book(self, symbol: str) -> Book:
        """The symbol's book, made when it is first asked for."""
        book = self.books.get(symbol)
        if book is None:
            book = self.books[symbol] = Book(self._instrument(symbol))
        return book

    def status(self, order_id: str) -> OrderState | None:
        """ROUTED, PARTIAL or a final state; None for an order that is not known (any more)."""
        order = self.orders.get(order_id)
        return order.state if order else self.final.get(order_id)

    def enter(self, order: Order) -> Working | None:
        """Take on an order. None if it is a repeat, or if it ends at once for a reason that is reported.

        A repeat of an order that works is let be. An id that was another order's cannot be used again.
        """
        order_id = order.order_id
        if order_id in self.orders:
            return None
        if order_id in self.final:
            reason = f"an order {order_id!r} is {self.final[order_id]} already"
            self.report(order_id, ReportType.REJECTED, "DUPLICATE_ORDER_ID", reason)
            return None
        working = Working.of(order, next(self.numbers))
        self.orders[order_id] = working
        if working.group:
            self._groups.join(working)
        is_complete = order.order_type is OrderType.MARKET and order.quantity > 0
        if not is_complete and (lacks := missing(order)):
            self.end(working, ReportType.REJECTED, "INCOMPLETE_ORDER", f"a {order.order_type} order needs {lacks}")
        elif working.group and self._groups.is_over(working):
            self.end(working, ReportType.CANCELLED, "OCO", "another order of its group has filled")
        return working if working.alive else None

    def adopt(self, order: Working) -> None:
        """Count a copy of another desk's order among one's own."""
        self.orders[order.order.order_id] = order
        self._groups.join(order)

    def schedule(self, ts: int, what: int, order: Working, amended: Order | None = None, reason: str = "") -> None:
        """Let something other than its arrival happen to an order at `ts` (ns UTC)."""
        symbol = order.order.symbol
        self.book(symbol).schedule(Action(ts, next(self.numbers), what, order, amended, reason, order.oco_cut))
        self.in_flight += what in REQUESTS
        heapq.heappush(self.wake_ups, (ts, symbol))

    def report(
        self, order_id: str, report: ReportType, code: str = "", reason: str = "", quantity: float | None = None
    ) -> None:
        """Publish a BrokerReport."""
        self._emit(BrokerReport(order_id, self._name, report, self._clock.now_ns, code, reason, quantity))

    def end(self, order: Working, report: ReportType, code: str, reason: str) -> None:
        """End an order other than by filling it, and say so."""
        self._finish(order, _FINAL_STATE[report])
        self.report(order.order.order_id, report, code, reason)

    def reducible(self, order: Working) -> float:
        """How much of the broker's own net position an order would reduce."""
        return max(-order.sign * self.positions.get(order.order.symbol, 0.0), 0.0)

    def fill(self, order: Working, event: Event, quantity: float, market: Market) -> None:
        """Execute `quantity` of an order, then reduce or cancel the others of its group."""
        symbol = order.order.symbol
        filled, held = order.filled + quantity, self.positions.get(symbol, 0.0) + order.sign * quantity
        # Whole numbers, the usual case, are tidy.
        order.filled = filled if filled % 1.0 == 0.0 else tidy(filled)
        self.positions[symbol] = held if held % 1.0 == 0.0 else tidy(held)
        order.leaves = 0.0 if order.filled == order.quantity else remainder(order.quantity, order.filled)
        book = self.books.get(symbol) or self.book(symbol)
        self._emit(self._writer.write(order, event, quantity, market, book.instrument, self._clock.now_ns))
        siblings = self._groups.siblings(order) if order.group else ()
        if order.leaves <= 0:
            self._finish(order, OrderState.FILLED)
        for sibling in siblings:
            _reduce(self, sibling, order, quantity)

    def _finish(self, order: Working, state: OrderState) -> None:
        order_id = order.order.order_id
        order.alive = False
        if order.arrived:
            self.books[order.order.symbol].remove(order)
        del self.orders[order_id]
        if order.group:
            self._groups.leave(order, filled=state is OrderState.FILLED)
        if self._writer.commission is not None:
            self._writer.commission.forget(order_id)
        self.final[order_id] = state
        self._final_ids.append(order_id)
        if len(self.final) > FINAL_ORDERS_KEPT:
            del self.final[self._final_ids.popleft()]


def _reduce(desk: Desk, sibling: Working, order: Working, quantity: float) -> None:
    """Another order of the sibling's group has filled some."""
    reason = f"order {order.order.order_id} of its group has filled {quantity:.12g}"
    if not order.alive or remainder(sibling.quantity - quantity, sibling.filled) <= 0:
        desk.end(sibling, ReportType.CANCELLED, "OCO", reason)
    else:
        sibling.oco_cut = tidy(sibling.oco_cut + quantity)
        resize(sibling, tidy(sibling.quantity - quantity))
        desk.report(sibling.order.order_id, ReportType.REPLACED, "OCO", reason, sibling.quantity)


def resize(order: Working, quantity: float) -> None:
    """Give an order a new total quantity."""
    order.quantity = quantity
    order.leaves = remainder(quantity, order.filled)
