"""Many orders at once that rest at their broker, or are cancelled there: each is routed as soon as it came."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from bus.runtime.resting import RestingOrders
from components.order_manager.book import OrderBook
from components.order_manager.intake import Intake
from components.order_manager.record import OrderRecord
from components.order_manager.unmade import CancelledOrders
from components.order_manager.validator import looks_plain
from schemas.enums import OrderState, OrderType
from schemas.orders import Order

_ROUTED: Final = OrderState.ROUTED
_CANCELLED: Final = OrderState.CANCELLED
_LIMIT: Final = OrderType.LIMIT


class RestingRouting:
    """Takes orders that rest, and their cancels. `counts` are those of the states that orders entered."""

    def __init__(self, book: OrderBook, intake: Intake, counts: dict[str, int]) -> None:
        self._book = book
        self._intake = intake
        self._counts = counts

    def is_ready(self) -> bool:
        """Whether no order follows another one."""
        return not self._book.by_parent

    def acceptor(self, broker: str) -> Callable[[Order], bool]:
        """What says whether an order is new, and such that it would rest at `broker`."""
        active, completed, unmade = self._book.active, *self._book.ended()
        brokers, broker_of = self._intake.plain_brokers, self._intake.broker_of

        def accepts(order: Order) -> bool:
            return (
                order.order_type is _LIMIT
                and looks_plain(order)
                and not (order.reduce_only or order.group_id)
                and order.order_id not in active
                and order.order_id not in completed
                and order.order_id not in unmade
                and (brokers.get(order.symbol) or broker_of(order)) == broker
            )

        return accepts

    def rests(self, order_id: str, broker: str) -> bool:
        """Whether an order rests at `broker` since it came."""
        record = self._book.active.get(order_id)
        return record is not None and record.state is _ROUTED and record.broker == broker and not record.asked

    def take(self, resting: RestingOrders, broker: str) -> None:
        """All this has come, and `broker` has done as it says."""
        active, ends = self._book.active, resting.cancelled
        earlier = {order_id: active.pop(order_id) for order_id in ends if order_id in active}
        for _, came in resting.left():
            order = came.order
            active[order.order_id] = OrderRecord(order, _ROUTED, broker, came.ts)
        if ends:
            self._book.complete_unmade(CancelledOrders(resting.symbol, broker, resting.came, ends, earlier))
        self._counts[_CANCELLED] += len(ends)
