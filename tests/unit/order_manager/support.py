"""An order manager on a bench, and short ways to say what happens to its orders."""

from __future__ import annotations

from typing import Any

from bus.runtime.settings import Instrument, RunContext, RunSettings
from components.order_manager import OrderManager
from schemas import (
    BrokerReport,
    CancelOrder,
    Direction,
    GroupType,
    Order,
    OrderStatus,
    OrderType,
    ReplaceOrder,
    ReportType,
    SubmitCancel,
    SubmitOrder,
    SubmitReplace,
)
from tests.support.bench import Bench
from tests.support.builders import T0, an_order

ONE_BROKER: dict[str, tuple[str, ...]] = {"broker": ()}


class Desk(Bench):
    """A bench with nothing but an order manager; the test plays risk and the brokers."""

    def __init__(
        self, brokers: dict[str, tuple[str, ...]] | None = None, run: RunSettings | None = None, **parameters: Any
    ) -> None:
        self.manager = OrderManager("order_manager", parameters)
        context = RunContext(run=run or RunSettings(), brokers=ONE_BROKER if brokers is None else brokers)
        super().__init__(self.manager, context=context)

    def life(self, order_id: str = "risk-1") -> list[str]:
        """The states that the order's statuses gave it, with the code after a colon where there is one."""
        statuses = [status for status in self.of(OrderStatus) if status.order_id == order_id]
        return [f"{s.state}:{s.code}" if s.code else str(s.state) for s in statuses]

    def codes(self) -> list[str]:
        """Every code published so far."""
        return [status.code for status in self.of(OrderStatus) if status.code]

    def sent(self) -> list[tuple[str, str, float]]:
        """What brokers were told so far: kind of message, order id, and the quantity (0 for a cancel)."""
        told: list[tuple[str, str, float]] = []
        for message in self.said:
            if isinstance(message, SubmitOrder):
                told.append(("submit", message.order.order_id, message.order.quantity))
            elif isinstance(message, SubmitReplace):
                told.append(("replace", message.order.order_id, message.order.quantity))
            elif isinstance(message, SubmitCancel):
                told.append(("cancel", message.order_id, 0.0))
        return told


def a_cancel(order_id: str = "risk-1", **other: Any) -> CancelOrder:
    """Risk wants the order cancelled."""
    return CancelOrder(order_id, T0, **other)


def an_amendment(order_id: str = "risk-1", **terms: Any) -> ReplaceOrder:
    """Risk wants the order amended."""
    return ReplaceOrder(order_id, T0, **terms)


def a_report(kind: str, order_id: str = "risk-1", **other: Any) -> BrokerReport:
    """The broker says what became of the order."""
    return BrokerReport(order_id, "broker", ReportType(kind), T0, **other)


def a_limit_order(order_id: str = "risk-1", **other: Any) -> Order:
    """A limit order to buy 100 AAPL at 99."""
    return an_order(order_id, **{"order_type": OrderType.LIMIT, "limit_price": 99.0, **other})


def a_bracket(quantity: float = 100.0, **other: Any) -> tuple[Order, Order, Order]:
    """An entry that buys (id `entry`), its target at 110 (`target`) and its stop at 90 (`stop`)."""
    group: dict[str, Any] = {"group_id": "g-1", "group_type": GroupType.BRACKET, "quantity": quantity, **other}
    leaving = {**group, "parent_id": "entry", "direction": Direction.SELL}
    return (
        an_order("entry", **group),
        an_order("target", order_type=OrderType.LIMIT, limit_price=110.0, **leaving),
        an_order("stop", order_type=OrderType.STOP, stop_price=90.0, **leaving),
    )


def stocks(**steps: Any) -> RunSettings:
    """A run that trades AAPL, in the given steps, and MSFT."""
    return RunSettings(symbols=("AAPL", "MSFT"), instruments=(Instrument(symbol="AAPL", **steps),))
