"""Moves orders through the life cycle and says so: every change is published and kept in the order's history."""

from __future__ import annotations

import math
from typing import Final

from bus.runtime.clock import Clock
from bus.runtime.component import Emit
from components.order_manager.book import OrderBook, OrderRecord, first_steps
from components.order_manager.codes import NoticeCode, RejectCode
from components.order_manager.lifecycle import FINAL_STATES, TRANSITIONS, OrderEvent, refusal
from schemas.enums import OrderState
from schemas.orders import Fill, Order, OrderStatus

_RECEIVED: Final = OrderState.RECEIVED
_VALIDATED: Final = OrderState.VALIDATED
_ROUTED: Final = OrderState.ROUTED
_FILLED: Final = OrderState.FILLED
_INFINITY: Final = math.inf
_OWN_CODES: Final = frozenset([*RejectCode, *NoticeCode])
"""A broker's own codes are passed on but not counted: there is no telling how many there are."""


class Journal:
    """Publishes an `OrderStatus` for each change, and one for each thing that was refused.

    A refusal changes nothing: its `previous` equals its `state`, it has a code, and it is not part of the history.

    `route` and `fill` are the usual way of an order, in fewer steps: what they publish and keep is what `receive` and
    `advance` do, one event after the other.
    """

    def __init__(self, book: OrderBook, emit: Emit, clock: Clock) -> None:
        self._book = book
        self._active = book.active
        self._emit = emit
        self._clock = clock
        self._counts: dict[str, int] = dict.fromkeys((*OrderState, *_OWN_CODES, "refused", "duplicate_fills"), 0)
        self._routed = 0
        self._filled = 0

    def route(self, order: Order, broker: str) -> None:
        """Take in a new order that has no fault and waits for no other, and note that it is sent to its broker."""
        now_ns = self._clock.now_ns
        self._active[order.order_id] = OrderRecord(order, _ROUTED, broker, 0.0, 0.0, 0.0, 0.0, None, now_ns)
        self._routed += 1
        for status in first_steps(order, now_ns):
            self._emit(status)

    def fill(self, record: OrderRecord, fill: Fill) -> bool:
        """Complete an order by the usual fill: the first of a routed order, all of it, and right. False for another."""
        order, quantity, price = record.order, fill.quantity, fill.price
        if (
            quantity != order.quantity
            or record.state is not _ROUTED
            or record.filled_quantity
            or fill.symbol != order.symbol
            or fill.direction is not order.direction
            or not -_INFINITY < price < _INFINITY
        ):
            return False
        quantity, price = 0.0 + quantity, 0.0 + price
        status = OrderStatus(order.order_id, order.symbol, _ROUTED, _FILLED, quantity, price, self._clock.now_ns)
        record.state = _FILLED
        record.filled_quantity = quantity
        record.average_price = price
        record.first_fill_id = fill.fill_id
        record.add_step(status)
        self._book.complete(record)
        self._filled += 1
        self._emit(status)
        return True

    def counts(self) -> dict[str, int]:
        """How often each state was entered, what was refused, and each of our codes was given."""
        counts = self._counts.copy()
        for state in (_RECEIVED, _VALIDATED, _ROUTED):
            counts[state] += self._routed
        counts[_FILLED] += self._filled
        return counts

    def count(self, what: str) -> None:
        """Count what happened beside the changes of state."""
        self._counts[what] += 1

    def receive(self, record: OrderRecord) -> None:
        """Take in a new order."""
        order, state = record.order, record.state
        self._book.add(record)
        self._counts[state] += 1
        status = OrderStatus(order.order_id, order.symbol, None, state, 0.0, 0.0, self._clock.now_ns)
        record.add_step(status)
        self._emit(status)

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
            self._counts[state] += 1
            if state in FINAL_STATES and previous not in FINAL_STATES:
                self._book.complete(record)
        if code in _OWN_CODES:
            self._counts[code] += 1
        order, filled, price = record.order, record.filled_quantity, record.average_price
        now = self._clock.now_ns
        status = OrderStatus(order.order_id, order.symbol, previous, state, filled, price, now, code, reason)
        record.add_step(status)
        self._emit(status)
        return True

    def restate(self, record: OrderRecord, code: str, reason: str) -> None:
        """Publish that the order's terms or fills changed while its state stands."""
        if code in _OWN_CODES:
            self._counts[code] += 1
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
        self._counts["refused"] += 1
        if code in _OWN_CODES:
            self._counts[code] += 1

    def _publish(self, record: OrderRecord, previous: OrderState | None, code: str, reason: str) -> OrderStatus:
        order, filled, now = record.order, record.filled_quantity, self._clock.now_ns
        state, price = record.state, record.average_price
        status = OrderStatus(order.order_id, order.symbol, previous, state, filled, price, now, code, reason)
        self._emit(status)
        return status
