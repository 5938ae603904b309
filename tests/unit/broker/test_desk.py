from __future__ import annotations

from bus.runtime.clock import Clock
from bus.runtime.settings import Instrument
from components.broker.desk import Desk
from components.broker.fills import FREE, Costs
from components.broker.market import Budget
from components.broker.working import Working
from schemas import BrokerReport, FeeLine, Fill, GroupType, Liquidity, Message, OrderState, ReportType
from tests.support.builders import T0, an_order


class PerOrder:
    """Commission that remembers which orders it was told to forget."""

    def __init__(self) -> None:
        self.forgotten: list[str] = []

    def fees(self, *_fill: object) -> tuple[FeeLine, ...]:
        return (FeeLine("commission", 1.0), FeeLine("exchange", 0.25))

    def forget(self, order_id: str) -> None:
        self.forgotten.append(order_id)


def a_desk() -> tuple[Desk, list[Message], PerOrder]:
    said: list[Message] = []
    commission = PerOrder()
    costs = Costs(FREE.slippage, commission)
    return Desk("broker", Clock(), said.append, costs, lambda symbol: Instrument(symbol=symbol)), said, commission


def fill(desk: Desk, order: Working, quantity: float, left: float | None = None) -> None:
    desk.fill(order, quantity, 100.0, "market_open", Liquidity.TAKER, Budget(left, T0))


def test_a_final_orders_costs_are_forgotten_and_a_partial_ones_are_not():
    desk, _, commission = a_desk()
    order = desk.enter(an_order(quantity=100.0))
    fill(desk, order, 40.0)
    assert commission.forgotten == []
    fill(desk, order, 60.0)
    assert commission.forgotten == ["risk-1"]


def test_commission_is_the_sum_of_the_fee_lines():
    desk, said, _ = a_desk()
    fill(desk, desk.enter(an_order()), 40.0)
    assert [fill.commission for fill in said if isinstance(fill, Fill)] == [1.25]


def test_a_repeat_of_a_working_order_is_let_be():
    desk, said, _ = a_desk()
    desk.enter(an_order())
    assert desk.enter(an_order()) is None
    assert said == []


def test_an_id_that_was_another_orders_is_refused():
    desk, said, _ = a_desk()
    desk.end(desk.enter(an_order()), ReportType.CANCELLED, "", "")
    assert desk.enter(an_order()) is None
    assert [(report.report, report.code) for report in said if isinstance(report, BrokerReport)] == [
        (ReportType.CANCELLED, ""),
        (ReportType.REJECTED, "DUPLICATE_ORDER_ID"),
    ]
    assert desk.status("risk-1") is OrderState.CANCELLED


def test_an_order_whose_group_is_over_is_not_entered():
    desk, said, _ = a_desk()
    terms = {"group_id": "g", "group_type": GroupType.OCO}
    fill(desk, desk.enter(an_order("risk-1", **terms)), 100.0)
    assert desk.enter(an_order("risk-2", **terms)) is None
    assert isinstance(said[-1], BrokerReport)
    assert (said[-1].order_id, said[-1].report, said[-1].code) == ("risk-2", ReportType.CANCELLED, "OCO")


def test_what_an_order_may_reduce_is_the_opposite_position():
    desk, _, _ = a_desk()
    buy = desk.enter(an_order("risk-1", quantity=70.0))
    fill(desk, buy, 70.0)
    sell = desk.enter(an_order("risk-2", direction=buy.order.direction.opposite))
    assert desk.reducible(sell) == 70.0
    assert desk.reducible(buy) == 0.0


def test_an_order_that_has_ended_is_not_among_the_orders_but_known():
    desk, _, _ = a_desk()
    order = desk.enter(an_order())
    assert list(desk.orders) == ["risk-1"]
    desk.end(order, ReportType.CANCELLED, "", "")
    assert not desk.orders
    assert desk.status("risk-1") is OrderState.CANCELLED


def test_a_fill_takes_what_the_budget_has_and_says_so():
    desk, said, _ = a_desk()
    order, budget = desk.enter(an_order(quantity=100.0)), Budget(60.3, T0)
    desk.fill(order, 100.0, 100.0, "market_open", Liquidity.TAKER, budget)
    desk.fill(order, 39.7, 100.0, "market_open", Liquidity.TAKER, budget)
    [made] = said
    assert (made.quantity, made.budget_before, made.budget_after, made.leaves_quantity) == (60.3, 60.3, 0.0, 39.7)
    assert (order.filled, order.leaves, budget.left) == (60.3, 39.7, 0.0)


def test_fills_are_numbered():
    desk, said, _ = a_desk()
    order = desk.enter(an_order(quantity=100.0))
    fill(desk, order, 40.0)
    fill(desk, order, 60.0)
    assert [made.fill_id for made in said] == ["broker-1", "broker-2"]
