"""Which broker serves a symbol, and what the order manager says to it."""

from __future__ import annotations

from collections.abc import Mapping

from bus.runtime.clock import Clock
from bus.runtime.component import Emit
from components.order_manager.journal import Journal
from components.order_manager.lifecycle import OrderEvent
from components.order_manager.record import OrderRecord
from schemas.orders import Order, SubmitCancel, SubmitOrder, SubmitReplace


class Router:
    """Sends orders, cancels and amendments to brokers.

    `brokers` maps a broker's name to the symbols that it serves. A broker that names the symbol comes before one that
    serves all (an empty list); of several, the first in the topology file.
    """

    def __init__(self, brokers: Mapping[str, tuple[str, ...]], journal: Journal, emit: Emit, clock: Clock) -> None:
        self.brokers = tuple(brokers)
        """Their names."""
        self._by_symbol: dict[str, str] = {}
        for name, symbols in brokers.items():
            for symbol in symbols:
                self._by_symbol.setdefault(symbol, name)
        self._of_the_rest = next((name for name, symbols in brokers.items() if not symbols), None)
        self._journal = journal
        self._emit = emit
        self._clock = clock

    def broker_of(self, symbol: str) -> str | None:
        """The name of the broker for `symbol`, None when no broker serves it."""
        return self._by_symbol.get(symbol, self._of_the_rest)

    def submit(self, record: OrderRecord) -> None:
        """Send a validated order, whose broker is known, to that broker."""
        self._journal.advance(record, OrderEvent.ROUTED)
        self._emit(SubmitOrder(record.order, record.broker))

    def cancel(self, record: OrderRecord, reason: str) -> None:
        """Ask the order's broker to cancel what is left; the broker's answer decides what becomes of it."""
        self._emit(SubmitCancel(record.order.order_id, record.broker, self._clock.now_ns, reason))

    def replace(self, record: OrderRecord, terms: Order) -> None:
        """Ask the order's broker for new terms; they are in force when the broker confirms them."""
        record.asked += (terms,)
        self._emit(SubmitReplace(terms, record.broker, self._clock.now_ns))
