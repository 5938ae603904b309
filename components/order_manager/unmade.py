"""Orders that were taken together and do not work any more: records of them are made when somebody asks for one."""

from __future__ import annotations

import itertools
from collections import deque
from collections.abc import Iterator
from typing import Final, NamedTuple

from bus.runtime.plain import PlainFills, PlainOrders
from bus.runtime.resting import Came, Cancelled
from components.order_manager.record import OrderRecord, cancelled, fill_whole
from schemas.enums import OrderState

_ROUTED: Final = OrderState.ROUTED
_CANCELLED: Final = OrderState.CANCELLED


class FilledOrders(NamedTuple):
    """Plain orders that have filled."""

    orders: PlainOrders
    fills: PlainFills
    broker: str

    def __len__(self) -> int:
        return len(self.fills.ids)

    def records(self, first: int) -> Iterator[OrderRecord]:
        """What `OrderManager` keeps of orders that it took one by one; of these from the `first` on."""
        fills = self.fills
        columns = zip(fills.ids, fills.prices.tolist(), fills.ts.tolist(), strict=True)
        for number, fill in itertools.islice(enumerate(columns), first, None):
            order = self.orders.order(number)
            record = OrderRecord(order, _ROUTED, self.broker, order.ts)
            fill_whole(record, *fill)
            yield record


class CancelledOrders(NamedTuple):
    """Orders in a symbol that rested and were cancelled, by id, as `RestingOrders` has them.

    Those that did not come with the others have `earlier` records.
    """

    symbol: str
    broker: str
    came: dict[str, Came]
    ends: dict[str, Cancelled]
    earlier: dict[str, OrderRecord]

    def __len__(self) -> int:
        return len(self.ends)

    def records(self, first: int) -> Iterator[OrderRecord]:
        """As of filled ones."""
        for order_id, end in itertools.islice(self.ends.items(), first, None):
            record = self.earlier.get(order_id)
            if record is None:
                came = self.came[order_id]
                record = OrderRecord(came.order, _ROUTED, self.broker, came.ts)
            record.state = _CANCELLED
            record.add_step(cancelled(order_id, self.symbol, end.ts, end.reason))
            yield record


class Unmade:
    """Orders without records, oldest first; most are forgotten before anybody asks for them."""

    def __init__(self) -> None:
        self.count = 0
        """How many they are."""
        self.cancelled_ids: set[str] = set()
        """The ids of those that were cancelled."""
        self._parts: deque[FilledOrders | CancelledOrders] = deque()
        self._forgotten = 0
        """So many of the oldest part do not count any more."""

    @property
    def has_filled(self) -> bool:
        """Whether some of them have filled."""
        return any(isinstance(part, FilledOrders) for part in self._parts)

    def add(self, orders: FilledOrders | CancelledOrders) -> None:
        """Keep some more, one at least."""
        self._parts.append(orders)
        self.count += len(orders)
        if isinstance(orders, CancelledOrders):
            self.cancelled_ids.update(orders.ends)

    def drop(self, count: int) -> None:
        """Forget so many, the oldest first."""
        self.count -= count
        while count:
            oldest, first = self._parts[0], self._forgotten
            behind = min(first + count, len(oldest))
            if isinstance(oldest, CancelledOrders):
                self.cancelled_ids.difference_update(itertools.islice(oldest.ends, first, behind))
            count -= behind - first
            self._forgotten = behind
            if behind == len(oldest):
                self._parts.popleft()
                self._forgotten = 0

    def take(self) -> Iterator[OrderRecord]:
        """The records of all; when the last one was taken, there are none without a record."""
        first = self._forgotten
        for part in self._parts:
            yield from part.records(first)
            first = 0
        self._parts.clear()
        self.cancelled_ids.clear()
        self.count = self._forgotten = 0
