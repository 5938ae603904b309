"""The order manager: orders pass through it on the way to a broker, fills and reports on the way back."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import ClassVar

from pydantic import Field

from bus.runtime.component import Component, Parameters, handles, query
from components.order_manager.amendments import Amendments
from components.order_manager.book import OrderBook, OrderRecord
from components.order_manager.children import Children, OtoPartial
from components.order_manager.codes import NoticeCode, RejectCode
from components.order_manager.groups import Groups
from components.order_manager.journal import Journal
from components.order_manager.lifecycle import OrderEvent
from components.order_manager.reports import apply_report, book_fill, fills_all
from components.order_manager.router import Router
from components.order_manager.validator import ANY_STEPS, OrderValidator, Rejection, looks_plain, with_enum_members
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

    `active_orders` and `completed_orders` are read-only views of what is known, by order id, oldest first.
    """

    component_type = "order_manager"
    undivided = "its orders belong together: groups, parents, and the bound on completed orders"
    Parameters = OrderManagerParameters
    emits: ClassVar[tuple[type[Message], ...]] = (OrderStatus, SubmitOrder, SubmitCancel, SubmitReplace)
    optional: ClassVar[frozenset[type[Message]]] = frozenset({ReplaceOrder})

    active_orders: Mapping[str, OrderRecord]
    completed_orders: Mapping[str, OrderRecord]

    def reset(self) -> None:
        """Forget every order."""
        emit, clock, parameters = self.emit, self.clock, self.parameters
        book = self._book = OrderBook(parameters.max_completed_orders)
        journal = self._journal = Journal(book, emit, clock)
        validator = self._validator = OrderValidator(self.context.run)
        router = self._router = Router(self.context.brokers, journal, emit, clock)
        self._children = Children(book, journal, router, validator, clock, parameters.oto_partial)
        self._groups = Groups(book, journal, router, self._children)
        self._amendments = Amendments(journal, router, self._groups, validator, clock)
        self._brokers: dict[str, str] = {}
        self.active_orders = MappingProxyType(book.active)
        self.completed_orders = MappingProxyType(book.completed)

    @handles(Order)
    def on_order(self, order: Order) -> None:
        """Validate an order and send it to its broker, or reject it."""
        book = self._book
        if looks_plain(order) and order.order_id not in book.active and order.order_id not in book.completed:
            broker = self._brokers.get(order.symbol) or self._broker_of(order)
            if broker is not None:
                self._journal.route(order, broker)
                self.emit(SubmitOrder(order, broker))
                return
        self._examine(order)

    def _examine(self, order: Order) -> None:
        if not order.order_id:
            text = "order_id is empty; every order needs an id of its own"
            self._journal.refuse_unknown("", order.symbol, RejectCode.MISSING_ORDER_ID, text)
            return
        known = self._book.get(order.order_id)
        if known is not None:
            text = f"an order with this id is {known.state} already; the second one is refused, the first is as it was"
            self._journal.refuse(known, RejectCode.DUPLICATE_ORDER_ID, text)
            return
        record = OrderRecord(with_enum_members(order))
        self._journal.receive(record)
        rejection = (
            self._validator.check(record.order, self.clock.now_ns)
            or self._children.check(record)
            or self._find_broker(record)
        )
        if rejection is not None:
            self._journal.advance(record, OrderEvent.REJECTED, rejection.code, rejection.reason)
            return
        self._journal.advance(record, OrderEvent.VALIDATED)
        if order.group_id or order.parent_id:
            self._groups.admit(record)
        else:
            self._router.submit(record)

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
        if record is not None and fills_all(record, fill):
            self._journal.fill(record, fill)
            if record.order.group_id or book.by_parent:
                self._groups.after_fill(record)
        else:
            self._examine_fill(book.get(fill.order_id), fill)

    def _examine_fill(self, record: OrderRecord | None, fill: Fill) -> None:
        if record is None:
            what = f"fill {fill.fill_id} ({fill.direction} {fill.quantity} {fill.symbol} at {fill.price})"
            self._refuse_unknown(fill.order_id, fill.symbol, what)
        elif book_fill(self._journal, record, fill) and (record.order.group_id or self._book.by_parent):
            self._groups.after_fill(record)

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
        counts = self._journal.counts()
        book = self._book
        return {
            **{state.lower(): counts[state] for state in OrderState},
            "active": len(book.active),
            "completed": len(book.completed),
            "dropped": book.dropped,
            "refused": counts["refused"],
            "duplicate_fills": counts["duplicate_fills"],
            **{code: counts[code] for code in (*RejectCode, *NoticeCode) if counts[code]},
        }

    def _broker_of(self, order: Order) -> str | None:
        """The broker for a plain order; None when it has none, or is not what its instrument trades in."""
        if self._validator.check_instrument(order) is not None:
            return None
        broker = self._router.broker_of(order.symbol)
        if broker is not None and self._validator.steps(order.symbol) is ANY_STEPS:
            self._brokers[order.symbol] = broker
        return broker

    def _find_broker(self, record: OrderRecord) -> Rejection | None:
        symbol = record.order.symbol
        broker = self._router.broker_of(symbol)
        if broker is None:
            brokers = ", ".join(self.context.brokers) or "none"
            return Rejection(RejectCode.NO_BROKER, f"no broker serves {symbol}; brokers of this run are {brokers}")
        record.broker = broker
        return None

    def _withdraw(self, records: list[OrderRecord], request: CancelOrder) -> None:
        for record in records:
            if not record.is_final:  # an earlier one in the list may have taken its children along
                self._groups.withdraw(record, request.reason)

    def _refuse_unknown(self, order_id: str, symbol: str, what: str) -> None:
        text = f"{what} is for order {order_id!r}, which is not known: it never came, or was done and is forgotten"
        self._journal.refuse_unknown(order_id, symbol, RejectCode.UNKNOWN_ORDER, text)
