"""Many plain orders at once: each routed as soon as it came, and filled whole by its first fill."""

from __future__ import annotations

from typing import Final

from bus.runtime.plain import PlainFills, PlainOrders, is_plain, plain_order
from components.order_manager.book import OrderBook
from components.order_manager.record import OrderRecord
from components.order_manager.router import Router
from components.order_manager.unmade import FilledOrders
from components.order_manager.validator import OrderValidator
from schemas.enums import Direction, OrderState
from schemas.orders import Order

_ROUTED: Final = OrderState.ROUTED


class PlainRouting:
    """Takes plain orders of one symbol together with their fills."""

    def __init__(self, book: OrderBook, router: Router, validator: OrderValidator) -> None:
        self._book = book
        self._router = router
        self._validator = validator
        self.filled = 0
        """How many."""

    def is_ready(self, waiting: Order | None, symbol: str, broker: str) -> bool:
        """Whether nothing works but the order that waits, if one does, and the symbol's plain orders go to `broker`."""
        active = self._book.active
        if self._router.broker_of(symbol) != broker or self._book.by_parent:
            return False
        if waiting is None:
            return not active
        record = active.get(waiting.order_id)
        if record is None or len(active) > 1:
            return False
        is_new = record.state is _ROUTED and record.next_step is None and not record.asked
        return is_new and is_plain(waiting) and (record.broker, record.routed_ns) == (broker, waiting.ts)

    def refuses(self, symbol: str, quantity: float) -> bool:
        """Whether plain orders for so much are refused, as the symbol's instrument is not traded in such quantities."""
        return self._validator.check_instrument(plain_order("", symbol, Direction.BUY, quantity, 0, "")) is not None

    def take(
        self, waiting: Order | None, orders: PlainOrders, fills: PlainFills, last: Order | None, broker: str
    ) -> None:
        """The first of `orders` have filled; the one that waited, if one did, is the first. The last one made waits."""
        book = self._book
        if waiting is not None:
            del book.active[waiting.order_id]
        if fills.ids:
            book.complete_unmade(FilledOrders(orders, fills, broker))
        self.filled += len(fills.ids)
        if last is not None:
            book.active[last.order_id] = OrderRecord(last, _ROUTED, broker, last.ts)
