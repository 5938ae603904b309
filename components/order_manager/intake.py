"""New orders at a closer look: those that are not of the usual kind, or have a fault."""

from __future__ import annotations

from bus.runtime.clock import Clock
from components.order_manager.book import OrderBook
from components.order_manager.children import Children
from components.order_manager.codes import RejectCode
from components.order_manager.groups import Groups
from components.order_manager.journal import Journal
from components.order_manager.lifecycle import OrderEvent
from components.order_manager.record import OrderRecord
from components.order_manager.router import Router
from components.order_manager.validator import ANY_STEPS, OrderValidator, Rejection, with_enum_members
from schemas.orders import Order


class Intake:
    """Checks new orders, and sends, holds or rejects them.

    `plain_brokers` has the brokers of symbols in any quantity and at any price, as orders for them come: of a plain
    order for one of those nothing is left to be checked.
    """

    def __init__(
        self,
        book: OrderBook,
        journal: Journal,
        router: Router,
        validator: OrderValidator,
        children: Children,
        groups: Groups,
        clock: Clock,
    ) -> None:
        self.plain_brokers: dict[str, str] = {}
        self._book = book
        self._journal = journal
        self._router = router
        self._validator = validator
        self._children = children
        self._groups = groups
        self._clock = clock

    def broker_of(self, order: Order) -> str | None:
        """The broker for a plain order; None when it has none, or is not what its instrument trades in."""
        symbol = order.symbol
        if self._validator.check_instrument(order) is not None:
            return None
        broker = self._router.broker_of(symbol)
        if broker is not None and self._validator.steps(symbol) == ANY_STEPS:
            self.plain_brokers[symbol] = broker
        return broker

    def take(self, order: Order) -> None:
        """Validate an order of any kind; send it to its broker, hold it, or reject it."""
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
            self._validator.check(record.order, self._clock.now_ns)
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

    def _find_broker(self, record: OrderRecord) -> Rejection | None:
        symbol = record.order.symbol
        broker = self._router.broker_of(symbol)
        if broker is None:
            brokers = ", ".join(self._router.brokers) or "none"
            return Rejection(RejectCode.NO_BROKER, f"no broker serves {symbol}; brokers of this run are {brokers}")
        record.broker = broker
        return None
