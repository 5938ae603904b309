"""Moves orders through the life cycle and says so: every change is published and kept in the order's history."""

from __future__ import annotations

from collections import Counter
from typing import Final

from bus.runtime.clock import Clock
from bus.runtime.component import Emit
from components.order_manager.book import OrderBook, OrderRecord
from components.order_manager.codes import NoticeCode, RejectCode
from components.order_manager.lifecycle import IllegalTransition, OrderEvent, step
from schemas.enums import OrderState
from schemas.orders import OrderStatus

_OWN_CODES: Final = frozenset([*RejectCode, *NoticeCode])
"""A broker's own codes are passed on but not counted: there is no telling how many there are."""


class Journal:
    """Publishes an `OrderStatus` for each change, and one for each thing that was refused.

    A refusal changes nothing: its `previous` equals its `state`, it has a code, and it is not part of the history.
    `counts` has how often each state was entered, and how often what was refused or remarkable.
    """

    def __init__(self, book: OrderBook, emit: Emit, clock: Clock) -> None:
        self._book = book
        self._emit = emit
        self._clock = clock
        self.counts: Counter[str] = Counter()

    def receive(self, record: OrderRecord) -> None:
        """Take in a new order."""
        self._book.add(record)
        self._note(record, None, "", "")

    def advance(self, record: OrderRecord, event: OrderEvent, code: str = "", reason: str = "") -> bool:
        """Let `event` happen to the order; False when the life cycle does not allow it, which is then reported."""
        previous = record.state
        try:
            record.state = step(previous, event)
        except IllegalTransition as refusal:
            self.refuse(record, NoticeCode.ILLEGAL_TRANSITION, f"{refusal}. {reason}" if reason else str(refusal))
            return False
        self._book.moved(record, previous)
        self._note(record, previous, code, reason)
        return True

    def restate(self, record: OrderRecord, code: str, reason: str) -> None:
        """Publish that the order's terms or fills changed while its state stands."""
        self._note(record, record.state, code, reason)

    def refuse(self, record: OrderRecord, code: str, reason: str) -> None:
        """Publish that something about this order was refused: it did not change."""
        self._count_refusal(code)
        self._emit(self._status(record, record.state, code, reason))

    def refuse_unknown(self, order_id: str, symbol: str, code: RejectCode, reason: str) -> None:
        """Publish a refusal about an order that is not known, as FIX does: with the state REJECTED."""
        self._count_refusal(code)
        state = OrderState.REJECTED
        self._emit(OrderStatus(order_id, symbol, state, state, 0.0, 0.0, self._clock.now_ns, code, reason))

    def _count_refusal(self, code: str) -> None:
        self.counts["refused"] += 1
        if code in _OWN_CODES:
            self.counts[code] += 1

    def _note(self, record: OrderRecord, previous: OrderState | None, code: str, reason: str) -> None:
        if previous is not record.state:
            self.counts[record.state] += 1
        if code in _OWN_CODES:
            self.counts[code] += 1
        status = self._status(record, previous, code, reason)
        record.history.append(status)
        self._emit(status)

    def _status(self, record: OrderRecord, previous: OrderState | None, code: str, reason: str) -> OrderStatus:
        order = record.order
        return OrderStatus(
            order.order_id,
            order.symbol,
            previous,
            record.state,
            record.filled_quantity,
            record.average_price,
            self._clock.now_ns,
            code,
            reason,
        )
