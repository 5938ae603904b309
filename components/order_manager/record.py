"""What is kept of an order."""

from __future__ import annotations

from typing import Final

import msgspec

from components.order_manager.lifecycle import FINAL_STATES
from schemas.enums import OrderState
from schemas.orders import Order, OrderStatus

_RECEIVED: Final = OrderState.RECEIVED
_VALIDATED: Final = OrderState.VALIDATED
_ROUTED: Final = OrderState.ROUTED
_FILLED: Final = OrderState.FILLED
_CANCELLED: Final = OrderState.CANCELLED
_RELATIVE_TOLERANCE: Final = 1e-9
"""Quantities that differ by less than this share of the order are equal: 0.1 + 0.2 fills an order for 0.3."""


class OrderRecord(msgspec.Struct, eq=False, gc=False):
    """One order and what became of it.

    `order` holds the terms in force, `asked` the amendments that its broker has not answered yet, oldest first.
    `average_price` is over all fills, 0.0 before the first. For a child, `whole_quantity` is its quantity for the whole
    of its parent, and `parent_quantity` what the parent's was when the child came; both are 0.0 for an order that does
    not follow a parent.

    Most orders were routed as soon as they came, have one fill or none and change once more. So the first three steps
    of such an order are kept as the time of them, `routed_ns`, and not as messages; a list of `later_steps` is made
    with the second step after them, and a set of `later_fill_ids` with the second fill.
    """

    order: Order
    state: OrderState = OrderState.RECEIVED
    broker: str = ""
    routed_ns: int | None = None
    filled_quantity: float = 0.0
    average_price: float = 0.0
    whole_quantity: float = 0.0
    parent_quantity: float = 0.0
    first_fill_id: str | None = None
    next_step: OrderStatus | None = None
    later_steps: list[OrderStatus] | None = None
    later_fill_ids: set[str] | None = None
    asked: tuple[Order, ...] = ()

    @property
    def is_final(self) -> bool:
        """Whether nothing of it works any more."""
        return self.state in FINAL_STATES

    @property
    def is_held(self) -> bool:
        """Whether it waits here, before any broker has heard of it."""
        return self.state is OrderState.VALIDATED

    @property
    def latest_terms(self) -> Order:
        """The terms asked for last, whether the broker has confirmed them or not."""
        return self.asked[-1] if self.asked else self.order

    @property
    def history(self) -> list[OrderStatus]:
        """The `OrderStatus` of every change as it was published, in order; each says when, from which state and why."""
        first = () if self.routed_ns is None else first_steps(self.order, self.routed_ns)
        following = () if self.next_step is None else (self.next_step,)
        return [*first, *following, *(self.later_steps or ())]

    def add_step(self, status: OrderStatus) -> None:
        """Note a change."""
        if self.next_step is None:
            self.next_step = status
        elif self.later_steps is None:
            self.later_steps = [status]
        else:
            self.later_steps.append(status)

    @property
    def fill_ids(self) -> set[str]:
        """The ids of its fills."""
        first = set() if self.first_fill_id is None else {self.first_fill_id}
        return first.union(self.later_fill_ids or ())

    def has_fill(self, fill_id: str) -> bool:
        """Whether a fill with this id was counted."""
        return fill_id == self.first_fill_id or (self.later_fill_ids is not None and fill_id in self.later_fill_ids)

    def remainder(self, quantity: float) -> float:
        """What an order for `quantity` would have left to fill; 0.0 when complete, negative when overfilled."""
        left = quantity - self.filled_quantity
        return 0.0 if abs(left) <= _RELATIVE_TOLERANCE * quantity else left

    def add_fill(self, fill_id: str, quantity: float, price: float) -> None:
        """Count a fill. The average moves by the fill's share of the new total, so equal prices stay exact."""
        if self.first_fill_id is None:
            self.first_fill_id = fill_id
        elif self.later_fill_ids is None:
            self.later_fill_ids = {fill_id}
        else:
            self.later_fill_ids.add(fill_id)
        self.filled_quantity += quantity
        self.average_price += (price - self.average_price) * (quantity / self.filled_quantity)


def first_steps(order: Order, ts: int) -> tuple[OrderStatus, OrderStatus, OrderStatus]:
    """What is published of a plain order that is routed as soon as it comes, at `ts` (ns UTC)."""
    order_id, symbol = order.order_id, order.symbol
    return (
        OrderStatus(order_id, symbol, None, _RECEIVED, 0.0, 0.0, ts),
        OrderStatus(order_id, symbol, _RECEIVED, _VALIDATED, 0.0, 0.0, ts),
        OrderStatus(order_id, symbol, _VALIDATED, _ROUTED, 0.0, 0.0, ts),
    )


def fill_whole(record: OrderRecord, fill_id: str, price: float, ts: int) -> OrderStatus:
    """A ROUTED order fills as it was ordered, all at once: take that into its record; what is published of it."""
    order = record.order
    quantity, price = 0.0 + order.quantity, 0.0 + price
    status = OrderStatus(order.order_id, order.symbol, _ROUTED, _FILLED, quantity, price, ts)
    record.state = _FILLED
    record.filled_quantity = quantity
    record.average_price = price
    record.first_fill_id = fill_id
    record.add_step(status)
    return status


def cancelled(order_id: str, symbol: str, ts: int, reason: str) -> OrderStatus:
    """What is published at `ts` (ns UTC) of an order that rested and was cancelled."""
    return OrderStatus(order_id, symbol, _ROUTED, _CANCELLED, 0.0, 0.0, ts, "", reason)
