"""Moves orders through the life cycle and says so: every change is published and kept in the order's history."""

from __future__ import annotations

from typing import Final

from bus.runtime.clock import Clock
from bus.runtime.component import Emit
from components.order_manager.book import OrderBook
from components.order_manager.codes import NoticeCode, RejectCode
from components.order_manager.lifecycle import FINAL_STATES, TRANSITIONS, OrderEvent, refusal
from components.order_manager.record import OrderRecord
from schemas.enums import OrderState
from schemas.orders import OrderStatus

_OWN_CODES: Final = frozenset([*RejectCode, *NoticeCode])
"""A broker's own codes are passed on but not counted: there is no telling how many there are."""


class Journal:
    """Publishes an `OrderStatus` for each change, and one for each thing that was refused.

    A refusal changes nothing: its `previous` equals its `state`, it has a code, and it is not part of the history.
    """

    def __init__(self, book: OrderBook, emit: Emit, clock: Clock) -> None:
        self._book = book
        self._emit = emit
        self._clock = clock
        self.counts: dict[str, int] = dict.fromkeys((*OrderState, *_OWN_CODES, "refused", "duplicate_fills"), 0)
        """How often each state was entered here, what was refused, and each of our codes was given."""

    def count(self, what: str) -> None:
        """Count what happened beside the changes of state."""
        self.counts[what] += 1

    def receive(self, record: OrderRecord) -> None:
        """Take in a new order."""
        self._book.add(record)
        self.counts[record.state] += 1
        record.add_step(self._publish(record, None))

    def advance(self, record: OrderRecord, event: OrderEvent, code: str = "", reason: str = "") -> bool:
        """Let `event` happen to the order; False when the life cycle does not allow it, which is then reported."""
        previous = record.state
        state = TRANSITIONS[previous].get(event)
        if state is None:
            text = refusal(previous, event)
            self.refuse(record, NoticeCode.ILLEGAL_TRANSITION, f"{text}. {reason}" if reason else text)
            return False
        if state is not previous:
            record.state = state
            self.counts[state] += 1
            if state in FINAL_STATES and previous not in FINAL_STATES:
                self._book.complete(record)
        if code in _OWN_CODES:
            self.counts[code] += 1
        record.add_step(self._publish(record, previous, code, reason))
        return True

    def restate(self, record: OrderRecord, code: str, reason: str) -> None:
        """Publish that the order's terms or fills changed while its state stands."""
        if code in _OWN_CODES:
            self.counts[code] += 1
        record.add_step(self._publish(record, record.state, code, reason))

    def refuse(self, record: OrderRecord, code: str, reason: str) -> None:
        """Publish that something about this order was refused: it did not change."""
        self._count_refusal(code)
        self._publish(record, record.state, code, reason)

    def refuse_unknown(self, order_id: str, symbol: str, code: RejectCode, reason: str) -> None:
        """Publish a refusal about an order that is not known, as FIX does: with the state REJECTED."""
        self._count_refusal(code)
        state = OrderState.REJECTED
        self._emit(OrderStatus(order_id, symbol, state, state, 0.0, 0.0, self._clock.now_ns, code, reason))

    def _count_refusal(self, code: str) -> None:
        self.counts["refused"] += 1
        if code in _OWN_CODES:
            self.counts[code] += 1

    def _publish(
        self, record: OrderRecord, previous: OrderState | None, code: str = "", reason: str = ""
    ) -> OrderStatus:
        order = record.order
        status = OrderStatus(
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
        self._emit(status)
        return status
