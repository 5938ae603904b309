"""All orders of one broker: the only place that fills or ends one."""

from __future__ import annotations

import heapq
import itertools
from collections import deque
from collections.abc import Callable, Collection
from typing import Final

from bus.runtime.clock import Clock
from bus.runtime.component import Emit
from bus.runtime.settings import Instrument
from components.broker.book import REQUESTS, Action, Book
from components.broker.fills import FREE, Costs
from components.broker.groups import Groups
from components.broker.market import Budget
from components.broker.working import Working, missing, remainder, tidy
from schemas import BrokerReport, Fill, Liquidity, Order, OrderState, ReportType

FINAL_ORDERS_KEPT: Final = 10_000
"""So many final orders are remembered, to tell a late cancel what became of its order."""

_FILLED: Final = OrderState.FILLED
_FINAL_STATE: Final = {
    ReportType.CANCELLED: OrderState.CANCELLED,
    ReportType.EXPIRED: OrderState.EXPIRED,
    ReportType.REJECTED: OrderState.REJECTED,
}
_work: Final = Working.of


class Books(dict[str, Book]):
    """Books by symbol, each made when it is first asked for."""

    def __init__(self, instrument: Callable[[str], Instrument]) -> None:
        super().__init__()
        self._instrument = instrument

    def __missing__(self, symbol: str) -> Book:
        """Make the symbol's book."""
        book = self[symbol] = Book(self._instrument(symbol))
        return book


class Desk:
    """Keeps the orders, their books, their groups, and the net position that the broker's own fills made."""

    def __init__(
        self, name: str, clock: Clock, emit: Emit, costs: Costs, instrument: Callable[[str], Instrument]
    ) -> None:
        self.orders: dict[str, Working] = {}
        self.final: dict[str, OrderState] = {}
        self.books = Books(instrument)
        self.wake_ups: list[tuple[int, str]] = []
        """A heap of times (ns UTC) at which something of a symbol is due, whether or not its market moves."""
        self.numbers = itertools.count(1)
        """Numbers in the order of arrival."""
        self.in_flight = 0
        """Cancels and amendments that have not reached the market yet; each will be answered."""
        self.fills = 0
        """How many there have been."""
        self.final_ids: deque[str] = deque()
        self._name = name
        self._clock = clock
        self._emit = emit
        self.costs = costs
        self.is_dear = costs != FREE
        self.forget = None if costs.commission is FREE.commission else costs.commission.forget
        self._groups = Groups()

    def status(self, order_id: str) -> OrderState | None:
        """ROUTED, PARTIAL or a final state; None for an order that is not known (any more)."""
        order = self.orders.get(order_id)
        return order.state if order else self.final.get(order_id)

    def enter(self, order: Order) -> Working | None:
        """Take on an order. None if it is a repeat, or if it ends at once for a reason that is reported.

        A repeat of an order that works is let be. An id that was another order's cannot be used again.
        """
        order_id = order.order_id
        if order_id in self.orders or order_id in self.final:
            self._refuse_repeat(order_id)
            return None
        working = self.orders[order_id] = _work(order, next(self.numbers), self._clock.now_ns)
        return working if working.plain else self._admitted(working)

    def _refuse_repeat(self, order_id: str) -> None:
        if order_id in self.final:
            reason = f"an order {order_id!r} is {self.final[order_id]} already"
            self.report(order_id, ReportType.REJECTED, "DUPLICATE_ORDER_ID", reason)

    def _admitted(self, working: Working) -> Working | None:
        """An order that is new and not plain, if it may be worked."""
        order = working.order
        if working.group:
            self._groups.join(working)
        if lacks := missing(order):
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
        self.books[symbol].schedule(Action(ts, next(self.numbers), what, order, amended, reason, order.oco_cut))
        self.in_flight += what in REQUESTS
        heapq.heappush(self.wake_ups, (ts, symbol))

    def report(
        self, order_id: str, report: ReportType, code: str = "", reason: str = "", quantity: float | None = None
    ) -> None:
        """Publish a BrokerReport."""
        self._emit(BrokerReport(order_id, self._name, report, self._clock.now_ns, code, reason, quantity))

    def end(self, order: Working, report: ReportType, code: str, reason: str) -> None:
        """End an order other than by filling it, and say so."""
        order.leaves = 0.0
        self._finish(order, _FINAL_STATE[report])
        self.report(order.order.order_id, report, code, reason)

    def reducible(self, order: Working) -> float:
        """How much of the broker's own net position an order would reduce."""
        return max(-order.sign * self.books[order.order.symbol].position, 0.0)

    def fill(
        self, order: Working, wanted: float, price: float, rule: str, liquidity: Liquidity, budget: Budget
    ) -> None:
        """Fill `wanted`, or what the budget has of it, at the market's `price`; then see to the order's group."""
        terms, quantity, before = order.order, wanted, budget.left
        after = None
        # Whole numbers, the usual case, are tidy.
        if before is not None:
            if wanted > before:
                quantity = before
            after = before - quantity
            budget.left = after = after if after.is_integer() else tidy(after)
        if quantity <= 0:
            return
        book = self.books[terms.symbol]
        held = book.position + order.sign * quantity
        book.position = held if held.is_integer() else tidy(held)
        leaves = 0.0
        if quantity != order.leaves:
            order.filled = tidy(order.filled + quantity)
            leaves = remainder(order.quantity, order.filled)
        order.leaves = leaves
        self.fills += 1
        # By position, because there are so many: names would take three times as long.
        fill = Fill(
            f"{self._name}-{self.fills}",
            terms.order_id,
            terms.symbol,
            terms.direction,
            quantity,
            price,
            0.0,
            self._clock.now_ns,
            self._name,
            rule,
            price,
            0.0,
            budget.ts,
            leaves,
            liquidity,
            before,
            after,
        )
        if self.is_dear or book.tick_size or terms.limit_price is not None:
            fill = self.costs.charge(fill, terms, book.instrument, budget.bar)
        self._emit(fill)
        if leaves <= 0:
            self._finish(order, _FILLED)
        if order.group:
            for sibling in self._groups.siblings(order):
                _reduce(self, sibling, order, quantity)

    def _finish(self, order: Working, state: OrderState) -> None:
        order_id = order.order.order_id
        if order.level is not None:
            self.books[order.order.symbol].remove(order)
        del self.orders[order_id]
        if order.group:
            self._groups.leave(order, filled=state is _FILLED)
        if self.forget is not None:
            self.forget(order_id)
        final, ids = self.final, self.final_ids
        final[order_id] = state
        ids.append(order_id)
        if len(ids) > FINAL_ORDERS_KEPT:
            del final[ids.popleft()]

    def remember(self, order_ids: Collection[str], state: OrderState) -> None:
        """Keep what has become of orders that are not among those that work, and forget all else of them."""
        if self.forget is not None:
            for order_id in order_ids:
                self.forget(order_id)
        final, ids = self.final, self.final_ids
        final.update(dict.fromkeys(order_ids, state))
        ids.extend(order_ids)
        for _ in range(len(ids) - FINAL_ORDERS_KEPT):
            del final[ids.popleft()]


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
