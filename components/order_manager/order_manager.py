"""The order manager: orders pass through it on the way to a broker, fills and reports on the way back."""

from __future__ import annotations

import math
from collections.abc import Mapping
from types import MappingProxyType
from typing import ClassVar, Final

from pydantic import Field

from bus.runtime.component import Component, Parameters, handles, query
from components.order_manager.amendments import Amendments
from components.order_manager.book import OrderBook
from components.order_manager.children import Children, OtoPartial
from components.order_manager.codes import NoticeCode, RejectCode
from components.order_manager.groups import Groups
from components.order_manager.intake import Intake
from components.order_manager.journal import Journal
from components.order_manager.plain import PlainRouting
from components.order_manager.record import OrderRecord, fill_whole, first_steps
from components.order_manager.reports import apply_report, book_fill
from components.order_manager.resting import RestingRouting
from components.order_manager.router import Router
from components.order_manager.validator import OrderValidator, looks_plain
from schemas.base import Message
from schemas.enums import OrderState
from schemas.orders import (
    BrokerReport,
    CancelOrder,
    Fill,
    Order,
    OrderStatus,
    ReplaceOrder,
    SubmitCancel,
    SubmitOrder,
    SubmitReplace,
)

_RECEIVED: Final = OrderState.RECEIVED
_VALIDATED: Final = OrderState.VALIDATED
_ROUTED: Final = OrderState.ROUTED
_FILLED: Final = OrderState.FILLED
_INFINITY: Final = math.inf


class OrderManagerParameters(Parameters):
    """`max_completed_orders` bounds how many finished orders are remembered: for queries, for what a broker still says
    about them, and for refusing an order id that was used before. `oto_partial` says when children of a parent begin
    to work: at its first fill, sized to what has filled so far (`partial`), or when it is done (`full`).
    """

    max_completed_orders: int = Field(default=10_000, ge=1)
    oto_partial: OtoPartial = "partial"


class OrderManager(Component):
    """Validates, routes and tracks orders.

    For each step in an order's life it publishes an `OrderStatus`; what it refuses it reports likewise, with a code,
    and without changing the order. The broker's word decides what becomes of an order that was sent to it.

    Most orders are plain and filled at once; they take the way that is written here. What it publishes and keeps is
    what `Intake`, `Journal` and `book_fill` do in more steps, which are for all others.

    `active_orders` is a read-only view of the orders that work, by order id, oldest first.
    """

    component_type = "order_manager"
    undivided = "its orders belong together: groups, parents, and the bound on completed orders"
    Parameters = OrderManagerParameters
    emits: ClassVar[tuple[type[Message], ...]] = (OrderStatus, SubmitOrder, SubmitCancel, SubmitReplace)
    optional: ClassVar[frozenset[type[Message]]] = frozenset({ReplaceOrder})

    active_orders: Mapping[str, OrderRecord]

    def reset(self) -> None:
        """Forget every order."""
        emit, clock, parameters = self.emit, self.clock, self.parameters
        book = self._book = OrderBook(parameters.max_completed_orders)
        journal = self._journal = Journal(book, emit, clock)
        validator = OrderValidator(self.context.run)
        router = Router(self.context.brokers, journal, emit, clock)
        children = Children(book, journal, router, validator, clock, parameters.oto_partial)
        groups = self._groups = Groups(book, journal, router, children)
        self._intake = Intake(book, journal, router, validator, children, groups, clock)
        self._amendments = Amendments(journal, router, groups, validator, clock)
        self._filled = 0
        self.active_orders = MappingProxyType(book.active)
        self._plain = PlainRouting(book, router, validator)
        self._resting = RestingRouting(book, self._intake, journal.counts)

    @handles(Order)
    def on_order(self, order: Order) -> None:
        """Validate an order and send it to its broker, or reject it."""
        order_id, book, intake = order.order_id, self._book, self._intake
        if looks_plain(order) and order_id not in book.active and order_id not in book.completed:
            broker = intake.plain_brokers.get(order.symbol) or intake.broker_of(order)
            if broker is not None:  # the usual order: nothing is wrong with it, and it waits for no other
                emit, now_ns = self.emit, self.clock.now_ns
                book.active[order_id] = OrderRecord(order, _ROUTED, broker, now_ns)
                received, validated, routed = first_steps(order, now_ns)
                emit(received)
                emit(validated)
                emit(routed)
                emit(SubmitOrder(order, broker))
                return
        intake.take(order)

    @handles(CancelOrder)
    def on_cancel_order(self, request: CancelOrder) -> None:
        """Cancel one order, or with an empty id all that work.

        A cancel that comes too late for the entry of a bracket is refused and leaves its exits alone: whoever sent it
        did not know of the fill, and the position would stand unprotected. One for an entry that is not known any
        more takes its exits, which are then the only thing that it can mean.
        """
        order_id = request.order_id
        record = self._book.active.get(order_id)
        if record is not None:
            self._groups.withdraw(record, request.reason)
            return
        if not order_id:
            self._withdraw(self._book.working(request.symbol), request)
            return
        record = self._book.completed.get(order_id)
        if record is not None:
            text = f"it is {record.state}, which is final; nothing is left to cancel"
            self._journal.refuse(record, RejectCode.FINAL_ORDER, text)
            return
        children = [child for child in self._book.children(order_id) if not child.is_final]
        self._withdraw(children, request)
        if not children:
            self._refuse_unknown(order_id, request.symbol, "the cancel")

    @handles(ReplaceOrder)
    def on_replace_order(self, request: ReplaceOrder) -> None:
        """Amend an order."""
        record = self._book.get(request.order_id)
        if record is None:
            self._refuse_unknown(request.order_id, "", "the amendment")
        else:
            self._amendments.ask(record, request)

    @handles(BrokerReport)
    def on_broker_report(self, report: BrokerReport) -> None:
        """Let a broker's word on an order, and on those that follow it, take effect."""
        book = self._book
        record = book.active.get(report.order_id) or book.completed.get(report.order_id)
        if record is None:
            self._refuse_unknown(report.order_id, "", f"{report.report} from broker {report.broker}")
            return
        before = record.state
        apply_report(self._journal, record, report)
        if book.by_parent and record.is_final and record.state is not before:
            self._groups.tell_children(record)

    @handles(Fill)
    def on_fill(self, fill: Fill) -> None:
        """Add a fill to its order, once, and let those that depend on it follow."""
        book = self._book
        record = book.active.get(fill.order_id)
        if (
            record is None
            or fill.quantity != (order := record.order).quantity
            or record.state is not _ROUTED
            or fill.symbol != order.symbol
            or fill.direction is not order.direction
            or not -_INFINITY < fill.price < _INFINITY
        ):
            self._book_fill(fill)
            return
        # The usual fill: all of an order, as it was ordered. One that is ROUTED has not filled yet.
        status = fill_whole(record, fill.fill_id, fill.price, self.clock.now_ns)
        book.complete(record)
        self._filled += 1
        self.emit(status)
        if order.group_id or book.by_parent:
            self._groups.after_fill(record)

    @property
    def completed_orders(self) -> Mapping[str, OrderRecord]:
        """A read-only view of the last orders that do not work any more, by id, oldest first."""
        return MappingProxyType(self._book.completed)

    def plain(self) -> PlainRouting:
        """How it takes many plain orders at once."""
        return self._plain

    def resting(self) -> RestingRouting:
        """How it takes many orders at once that rest at their broker."""
        return self._resting

    @query
    def order(self, order_id: str) -> OrderRecord | None:
        """What is known of an order, None when it is not known (any more)."""
        return self._book.get(order_id)

    @query
    def orders(self, symbol: str | None = None, state: OrderState | None = None) -> list[OrderRecord]:
        """Known orders, of `symbol` and in `state` where given."""
        return self._book.find(symbol, state)

    @query
    def statistics(self) -> dict[str, int]:
        """Counts since the run began: how often each state was entered, what was refused, each of our codes given."""
        book, counts = self._book, self._journal.counts.copy()
        at_once = len(book.active) + book.completed_count + book.dropped - counts[_RECEIVED]
        for state in (_RECEIVED, _VALIDATED, _ROUTED):
            counts[state] += at_once
        counts[_FILLED] += self._filled + self._plain.filled
        return {
            **{state.lower(): counts[state] for state in OrderState},
            "active": len(book.active),
            "completed": book.completed_count,
            "dropped": book.dropped,
            "refused": counts["refused"],
            "duplicate_fills": counts["duplicate_fills"],
            **{code: counts[code] for code in (*RejectCode, *NoticeCode) if counts[code]},
        }

    def _book_fill(self, fill: Fill) -> None:
        record = self._book.get(fill.order_id)
        if record is None:
            what = f"fill {fill.fill_id} ({fill.direction} {fill.quantity} {fill.symbol} at {fill.price})"
            self._refuse_unknown(fill.order_id, fill.symbol, what)
        elif book_fill(self._journal, record, fill) and (record.order.group_id or self._book.by_parent):
            self._groups.after_fill(record)

    def _withdraw(self, records: list[OrderRecord], request: CancelOrder) -> None:
        for record in records:
            if not record.is_final:  # an earlier one in the list may have taken its children along
                self._groups.withdraw(record, request.reason)

    def _refuse_unknown(self, order_id: str, symbol: str, what: str) -> None:
        text = f"{what} is for order {order_id!r}, which is not known: it never came, or was done and is forgotten"
        self._journal.refuse_unknown(order_id, symbol, RejectCode.UNKNOWN_ORDER, text)
