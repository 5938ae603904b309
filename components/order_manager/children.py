"""Orders that wait for another: held until their parent fills, sized to what it filled, dropped when it dies."""

from __future__ import annotations

import math
from typing import Literal

import msgspec

from bus.runtime.clock import Clock
from components.order_manager.book import OrderBook
from components.order_manager.codes import NoticeCode, RejectCode
from components.order_manager.journal import Journal
from components.order_manager.lifecycle import OrderEvent
from components.order_manager.record import OrderRecord
from components.order_manager.router import Router
from components.order_manager.validator import OrderValidator, Rejection, Steps
from schemas.enums import GroupType, OrderState

OtoPartial = Literal["full", "partial"]


class Children:
    """Brings a child (OTO, or the target and stop of a bracket) in line with its parent.

    `oto_partial` says when children begin to work: `partial`, as soon as some of the parent has filled, for as much
    as has filled so far; `full`, when the parent is done, for as much as it filled.
    """

    def __init__(
        self,
        book: OrderBook,
        journal: Journal,
        router: Router,
        validator: OrderValidator,
        clock: Clock,
        oto_partial: OtoPartial,
    ) -> None:
        self._book = book
        self._journal = journal
        self._router = router
        self._validator = validator
        self._clock = clock
        self._at_first_fill = oto_partial == "partial"

    def check(self, record: OrderRecord) -> Rejection | None:
        """Whether a new order's parent, if it names one, is known and fits; makes the order follow it."""
        order = record.order
        if not order.parent_id:
            return None
        parent = self._book.get(order.parent_id)
        if parent is None:
            text = f"parent_id {order.parent_id!r} names no order that is known here; send the parent first"
            return Rejection(RejectCode.UNKNOWN_PARENT, text)
        order_and_parent_agree = parent.order.symbol == order.symbol and parent.order.direction != order.direction
        if order.group_type == GroupType.BRACKET and not order_and_parent_agree:
            text = f"a child of a bracket trades its parent's symbol, {parent.order.symbol}, in the other direction"
            return Rejection(RejectCode.INVALID_GROUP, text)
        record.whole_quantity, record.parent_quantity = order.quantity, parent.order.quantity
        return None

    def follow(self, child: OrderRecord, parent: OrderRecord) -> None:
        """Hold, release, raise or drop a child, as what became of its parent asks for."""
        if child.is_held:
            self._release_or_drop(child, parent)
        elif parent.filled_quantity and child.whole_quantity:
            self._raise(child, parent)

    def lower(self, child: OrderRecord) -> None:
        """Correct a raise that is on its way and does not count what the child's sibling has filled since."""
        parent = self._book.get(child.order.parent_id)
        terms = child.latest_terms
        if parent is not None and 0 < (quantity := self._wanted(child, parent)) < terms.quantity:
            self._router.replace(child, msgspec.structs.replace(terms, quantity=quantity))

    def _release_or_drop(self, child: OrderRecord, parent: OrderRecord) -> None:
        if not parent.filled_quantity:
            if parent.is_final:
                text = f"its parent {parent.order.order_id} is {parent.state} and filled nothing"
                self._journal.advance(child, OrderEvent.CANCELLED, NoticeCode.PARENT_DEAD, text)
            return
        if not (self._at_first_fill or parent.is_final):
            return
        steps = self._validator.steps(child.order.symbol)
        quantity = child_quantity(child, parent, steps)
        if quantity > 0 and (quantity >= steps.min_quantity or child.order.reduce_only):
            self._release(child, quantity)
        elif parent.is_final:
            text = f"its parent filled {parent.filled_quantity}, which is too little for an order of its own"
            self._journal.advance(child, OrderEvent.CANCELLED, NoticeCode.CHILD_TOO_SMALL, text)

    def _release(self, child: OrderRecord, quantity: float) -> None:
        order = child.order
        if child.filled_quantity:
            text = "a broker filled it while it was held here, so it is not sent any more"
            self._journal.advance(child, OrderEvent.CANCELLED, NoticeCode.UNEXPECTED_REPLY, text)
            return
        if order.expire_ts is not None and order.expire_ts <= self._clock.now_ns:
            text = "it expired before its parent filled"
            self._journal.advance(child, OrderEvent.EXPIRED, NoticeCode.CHILD_EXPIRED, text)
            return
        if quantity != order.quantity:
            child.order = msgspec.structs.replace(order, quantity=quantity)
        self._router.submit(child)

    def _raise(self, child: OrderRecord, parent: OrderRecord) -> None:
        if not (self._at_first_fill or parent.is_final):
            return
        terms, quantity = child.latest_terms, self._wanted(child, parent)
        if quantity <= terms.quantity:
            return
        if not child.is_final:
            self._router.replace(child, msgspec.structs.replace(terms, quantity=quantity))
        elif child.state is OrderState.FILLED:
            text = f"it is complete, and its parent {parent.order.order_id} filled more; no order covers the difference"
            self._journal.refuse(child, NoticeCode.NOT_RAISED, text)

    def _wanted(self, child: OrderRecord, parent: OrderRecord) -> float:
        # What the other exit of a bracket filled is out of the position already, and the broker took it off this one.
        filled = child_quantity(child, parent, self._validator.steps(child.order.symbol))
        return filled - sum(sibling.filled_quantity for sibling in self._book.siblings(child))


def child_quantity(child: OrderRecord, parent: OrderRecord, steps: Steps) -> float:
    """What a child's quantity is for what its parent has filled so far: the same share, rounded down to the lot."""
    whole, of, filled = child.whole_quantity, child.parent_quantity, parent.filled_quantity
    if whole == of or not of > 0:  # a parent that was refused for its quantity, but filled all the same
        return filled
    if filled == of:
        return whole
    quantity = whole * filled / of
    if not steps.lot_size:
        return quantity
    return math.floor(quantity / steps.lot_size + 1e-9) * steps.lot_size
