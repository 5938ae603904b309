"""What every broker is: it is sent orders, cancels and amendments, and answers with fills and reports."""

from __future__ import annotations

from typing import ClassVar

from bus.runtime.component import Component, Parameters, handles
from schemas import BrokerReport, Fill, Message, Order, OrderState, SubmitCancel, SubmitOrder, SubmitReplace


class BrokerParameters(Parameters):
    """What every broker may be told. `symbols` are those that it serves, all of them when none is named."""

    symbols: tuple[str, ...] = ()


class BrokerBase(Component):
    """Base of all brokers, simulated and live.

    A broker takes what is addressed to its name and ignores the rest. It answers every cancel and every amendment,
    and its fills of an order never sum to more than the order's quantity.
    """

    component_type: ClassVar[str] = "broker"
    Parameters: ClassVar[type[Parameters]] = BrokerParameters
    emits: ClassVar[tuple[type[Message], ...]] = (Fill, BrokerReport)
    undivided: ClassVar[str] = "it numbers its fills over all symbols"

    @handles(SubmitOrder)
    def on_order(self, message: SubmitOrder) -> None:
        """Take on an order that is addressed to this broker."""
        if message.broker == self.name:
            self.execute_order(message.order)

    @handles(SubmitCancel)
    def on_cancel(self, message: SubmitCancel) -> None:
        """Cancel an order if the request is addressed to this broker."""
        if message.broker == self.name:
            self.cancel_order(message.order_id, message.reason)

    @handles(SubmitReplace)
    def on_replace(self, message: SubmitReplace) -> None:
        """Amend an order if the request is addressed to this broker."""
        if message.broker == self.name:
            self.replace_order(message.order)

    def execute_order(self, order: Order, price: float | None = None) -> None:
        """Execute an order; with a `price`, at once at that price (simulated brokers only)."""
        raise NotImplementedError

    def cancel_order(self, order_id: str, reason: str = "") -> None:
        """Cancel what is left of an order; answered by a BrokerReport CANCELLED or CANCEL_REJECTED."""
        raise NotImplementedError

    def replace_order(self, order: Order) -> None:
        """Amend the working order of the same id; answered by a BrokerReport REPLACED or REPLACE_REJECTED."""
        raise NotImplementedError

    def get_order_status(self, order_id: str) -> OrderState | None:
        """What the broker knows of an order: ROUTED, PARTIAL or a final state; None for one that it does not know."""
        raise NotImplementedError
