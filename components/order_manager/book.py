"""What is known of every order, found by id, parent and group without looking through the others."""

from __future__ import annotations

from collections import deque
from collections.abc import Container, Mapping
from types import MappingProxyType
from typing import Final

from components.order_manager.record import OrderRecord
from components.order_manager.unmade import CancelledOrders, FilledOrders, Unmade
from schemas.enums import GroupType, OrderState
from schemas.orders import Order

_NONE: Final[Mapping[str, OrderRecord]] = MappingProxyType({})


class OrderBook:
    """All orders that work, and the last `max_completed` that do not; the oldest of those are forgotten first.

    Adding, completing and finding an order by its id, its parent or its group cost the same however many there are.
    """

    def __init__(self, max_completed: int) -> None:
        self.max_completed = max_completed
        self.dropped = 0
        self.active: dict[str, OrderRecord] = {}
        self._completed: dict[str, OrderRecord] = {}
        self._unmade = Unmade()
        """Those that were completed after them."""
        self._completed_ids: deque[str] = deque()
        self.by_parent: dict[str, dict[str, OrderRecord]] = {}
        self._by_group: dict[str, dict[str, OrderRecord]] = {}

    @property
    def completed(self) -> dict[str, OrderRecord]:
        """The last orders that do not work any more, oldest first."""
        if self._unmade.count:
            for record in self._unmade.take():
                self._completed[record.order.order_id] = record
                self._completed_ids.append(record.order.order_id)
        return self._completed

    @property
    def completed_count(self) -> int:
        """How many these are."""
        return len(self._completed) + self._unmade.count

    def ended(self) -> tuple[Container[str], Container[str]]:
        """The ids of the last orders that do not work any more, in two parts, as they are now and will be."""
        completed = self.completed if self._unmade.has_filled else self._completed
        return completed, self._unmade.cancelled_ids

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
            self._drop_oldest()

    def complete_unmade(self, orders: FilledOrders | CancelledOrders) -> None:
        """Note orders, which are not among those that work, as final."""
        self._unmade.add(orders)
        while self._completed and self.completed_count > self.max_completed:
            self._drop_oldest()
        excess = max(self.completed_count - self.max_completed, 0)
        self._unmade.drop(excess)
        self.dropped += excess

    def _drop_oldest(self) -> None:
        self.dropped += 1
        order = self._completed.pop(self._completed_ids.popleft()).order
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
