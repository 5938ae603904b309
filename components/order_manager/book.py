"""What is known of every order, found by id, parent and group without looking through the others."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

import msgspec

from components.order_manager.lifecycle import FINAL_STATES
from schemas.enums import GroupType, OrderState
from schemas.orders import Order, OrderStatus

_RECEIVED: Final = OrderState.RECEIVED
_VALIDATED: Final = OrderState.VALIDATED
_ROUTED: Final = OrderState.ROUTED
_RELATIVE_TOLERANCE: Final = 1e-9
"""Quantities that differ by less than this share of the order are equal: 0.1 + 0.2 fills an order for 0.3."""

_NONE: Final[Mapping[str, OrderRecord]] = MappingProxyType({})


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


class OrderBook:
    """All orders that work, and the last `max_completed` that do not; the oldest of those are forgotten first.

    Adding, completing and finding an order by its id, its parent or its group cost the same however many there are.
    """

    def __init__(self, max_completed: int) -> None:
        self.max_completed = max_completed
        self.dropped = 0
        self.active: dict[str, OrderRecord] = {}
        self.completed: dict[str, OrderRecord] = {}
        self._completed_ids: deque[str] = deque()
        self.by_parent: dict[str, dict[str, OrderRecord]] = {}
        self._by_group: dict[str, dict[str, OrderRecord]] = {}

    def get(self, order_id: str) -> OrderRecord | None:
        """The order with this id, None when it is not known (any more)."""
        return self.active.get(order_id) or self.completed.get(order_id)

    def add(self, record: OrderRecord) -> None:
        """Take in a new order, whose id is not known and whose state is RECEIVED."""
        order = record.order
        self.active[order.order_id] = record
        if order.parent_id:
            _put(self.by_parent, order.parent_id, record)
        if order.group_id or order.parent_id:
            _put(self._by_group, exclusion_key(order), record)

    def complete(self, record: OrderRecord) -> None:
        """Note that a working order has become final."""
        order_id, completed = record.order.order_id, self.completed
        if record.asked:
            record.asked = ()
        del self.active[order_id]
        completed[order_id] = record
        self._completed_ids.append(order_id)
        if len(completed) > self.max_completed:
            self.dropped += 1
            order = completed.pop(self._completed_ids.popleft()).order
            if order.group_id or order.parent_id:
                self._forget(order)

    def find(self, symbol: str | None = None, state: OrderState | None = None) -> list[OrderRecord]:
        """Known orders of `symbol` and in `state`; those that work first, each kind in order of arrival there.

        Looks at every known order, so it is for queries and not for the path of an order.
        """
        return [
            record
            for record in (*self.active.values(), *self.completed.values())
            if (symbol is None or record.order.symbol == symbol) and (state is None or record.state is state)
        ]

    def working(self, symbol: str) -> list[OrderRecord]:
        """Orders that are not final, of `symbol` or, when it is empty, of all, in order of arrival. Looks at all."""
        return [record for record in self.active.values() if not symbol or record.order.symbol == symbol]

    def children(self, parent_id: str) -> list[OrderRecord]:
        """Known orders that name this parent, in order of arrival."""
        return list(self.by_parent.get(parent_id, _NONE).values())

    def siblings(self, record: OrderRecord) -> list[OrderRecord]:
        """Known orders of which only one may fill, if this one does, in order of arrival; without itself."""
        members = self._by_group.get(exclusion_key(record.order), _NONE).values()
        return [member for member in members if member is not record]

    def _forget(self, order: Order) -> None:
        """Take an order out of its group, and from its parent."""
        if order.parent_id:
            _take(self.by_parent, order.parent_id, order.order_id)
        _take(self._by_group, exclusion_key(order), order.order_id)


def exclusion_key(order: Order) -> str:
    """What the orders share of which only one may fill; empty for an order that excludes no other.

    OCO orders share their group, the children of a bracket (its target and its stop) share their parent.
    """
    if order.group_type == GroupType.OCO:
        return f"group {order.group_id}"
    return f"parent {order.parent_id}" if order.group_type == GroupType.BRACKET and order.parent_id else ""


def _put(index: dict[str, dict[str, OrderRecord]], key: str, record: OrderRecord) -> None:
    if key:
        index.setdefault(key, {})[record.order.order_id] = record


def _take(index: dict[str, dict[str, OrderRecord]], key: str, order_id: str) -> None:
    if not key:
        return
    members = index[key]
    del members[order_id]
    if not members:  # symbols and groups come and go; an empty index must not stay
        del index[key]
