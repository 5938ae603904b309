"""Whatever risk and the brokers say, in whatever order: what holds for every order, all the time."""

from collections import defaultdict
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule, run_state_machine_as_test

from components.order_manager.lifecycle import FINAL_STATES, TRANSITIONS
from schemas import (
    BrokerReport,
    CancelOrder,
    Direction,
    Fill,
    GroupType,
    Message,
    Order,
    OrderState,
    OrderStatus,
    OrderType,
    ReplaceOrder,
    ReportType,
    SubmitOrder,
    TimeInForce,
)
from schemas.codec import canonical, encode
from tests.support.builders import T0, a_fill
from tests.unit.order_manager.support import Desk, a_bracket, a_limit_order

IDS = st.sampled_from([f"risk-{n}" for n in range(8)])
PICKS = st.integers(0, 20)
SYMBOLS = st.sampled_from(["AAPL", "MSFT"])
QUARTERS = st.integers(1, 40).map(lambda n: n / 4)  # their sums are exact, so that equal means equal
BROKERS = {"one": ("AAPL",), "two": ()}
LATE = {"LATE_FILL", "OVERFILL"}


@st.composite
def orders(draw: st.DrawFn) -> Order:
    group_type = draw(st.sampled_from(GroupType))
    parent = draw(st.none() | IDS) if group_type is not GroupType.NONE else None
    limit = draw(st.sampled_from([None, 99.0, 101.0, 0.0]))
    return Order(
        order_id=draw(IDS),
        symbol=draw(SYMBOLS),
        direction=draw(st.sampled_from(Direction)),
        quantity=draw(QUARTERS),
        order_type=OrderType.MARKET if limit is None else OrderType.LIMIT,
        ts=T0,
        limit_price=limit,
        time_in_force=draw(st.sampled_from([TimeInForce.GTC, TimeInForce.DAY, TimeInForce.IOC])),
        group_id="" if group_type is GroupType.NONE else "g",
        group_type=group_type,
        parent_id=parent or "",
    )


class AnyTraffic(RuleBasedStateMachine):
    """Risk and brokers that say anything at all, in any order, often more than once."""

    max_completed_orders = 10_000

    def __init__(self) -> None:
        super().__init__()
        self.desk = self.a_desk()
        self.inputs: list[tuple[Message, int]] = []
        self.fills: dict[str, dict[str, Fill]] = defaultdict(dict)
        self.checked = 0
        self.last: dict[str, OrderStatus] = {}
        self.published: dict[str, list[OrderStatus]] = defaultdict(list)

    def a_desk(self) -> Desk:
        return Desk(brokers=BROKERS, max_completed_orders=self.max_completed_orders)

    def say(self, message: Message) -> None:
        ts = T0 + len(self.inputs)
        self.inputs.append((message, ts))
        self.desk.publish(message, ts=ts)

    def pick(self, number: int) -> str:
        """One of the working orders in most cases, else one of the completed, else one that nobody knows."""
        manager = self.desk.manager
        known = list(manager.active_orders if number < 16 else manager.completed_orders)
        return known[number % len(known)] if known and number < 20 else "ghost"

    @initialize(quantity=QUARTERS)
    def risk_sends_a_bracket_and_an_oco_pair(self, quantity: float) -> None:
        pair = {"group_id": "pair", "group_type": GroupType.OCO}
        for order in (*a_bracket(quantity), a_limit_order("risk-0", **pair), a_limit_order("risk-1", **pair)):
            self.say(order)

    @rule(order=orders())
    def risk_sends_an_order(self, order: Order) -> None:
        self.say(order)

    @rule(number=PICKS)
    def risk_cancels(self, number: int) -> None:
        self.say(CancelOrder(self.pick(number), T0))

    @rule(symbol=st.sampled_from(["", "AAPL", "MSFT"]))
    def risk_cancels_all(self, symbol: str) -> None:
        self.say(CancelOrder("", T0, symbol))

    @rule(number=PICKS, quantity=st.none() | QUARTERS, limit=st.none() | st.sampled_from([98.0, -1.0]))
    def risk_amends(self, number: int, quantity: float | None, limit: float | None) -> None:
        self.say(ReplaceOrder(self.pick(number), T0, quantity, limit))

    @rule(number=PICKS, kind=st.sampled_from(ReportType), quantity=st.none() | QUARTERS, oco=st.booleans())
    def a_broker_reports(self, number: int, kind: ReportType, quantity: float | None, oco: bool) -> None:
        self.say(BrokerReport(self.pick(number), "one", kind, T0, "OCO" if oco else "", "", quantity))

    @rule(number=PICKS, fill=st.integers(1, 6), quantity=QUARTERS, price=st.sampled_from([100.0, 100.1]))
    def a_broker_fills(self, number: int, fill: int, quantity: float, price: float) -> None:
        self.fill(self.pick(number), f"f-{fill}", quantity, price)

    @rule(number=PICKS)
    def a_broker_fills_the_rest(self, number: int) -> None:
        order_id = self.pick(number)
        record = self.desk.manager.order(order_id)
        if record is not None and record.remainder(record.order.quantity) > 0:
            self.fill(order_id, f"rest-{len(self.inputs)}", record.remainder(record.order.quantity), 100.0)

    def fill(self, order_id: str, fill_id: str, quantity: float, price: float) -> None:
        record = self.desk.manager.order(order_id)
        terms: dict[str, Any] = {"order_id": order_id, "quantity": quantity, "price": price}
        if record is not None:
            terms |= {"symbol": record.order.symbol, "direction": record.order.direction}
            self.fills[order_id].setdefault(fill_id, a_fill(fill_id, **terms))
        self.say(a_fill(fill_id, **terms))

    @invariant()
    def every_status_follows_from_the_one_before(self) -> None:
        for message in self.desk.said[self.checked :]:
            if isinstance(message, OrderStatus) and message.code != "UNKNOWN_ORDER":
                self.check_step(message)
                self.last[message.order_id] = message
                self.published[message.order_id].append(message)
        self.checked = len(self.desk.said)

    def check_step(self, status: OrderStatus) -> None:
        before = self.last.get(status.order_id)
        if before is None or status.previous is None:
            assert (status.previous, status.state, status.filled_quantity) == (None, OrderState.RECEIVED, 0.0)
            return
        assert status.previous is before.state
        assert status.filled_quantity >= before.filled_quantity
        if status.state is not before.state:
            assert status.state in TRANSITIONS[before.state].values()
        if before.state in FINAL_STATES and status.state is not before.state:
            assert status.state is OrderState.FILLED and status.code in LATE

    @invariant()
    def every_emitted_message_is_what_its_readers_see(self) -> None:
        for message in self.desk.said[-20:]:
            assert encode(message) == encode(canonical(message))

    @invariant()
    def the_book_has_every_order_where_it_belongs(self) -> None:
        manager = self.desk.manager
        assert not any(record.is_final for record in manager.active_orders.values())
        assert all(record.is_final for record in manager.completed_orders.values())
        assert len(manager.completed_orders) <= self.max_completed_orders
        for state in OrderState:
            assert all(record.state is state for record in manager.orders(state=state))
        assert not any(record.filled_quantity for record in manager.orders(state=OrderState.ROUTED))

    def teardown(self) -> None:
        again = self.a_desk()
        for message, ts in self.inputs:
            again.publish(message, ts=ts)
        assert [encode(m) for m in again.said] == [encode(m) for m in self.desk.said]


class RememberedTraffic(AnyTraffic):
    """The same with a memory that holds every order, so that each can be accounted for."""

    @invariant()
    def fills_are_facts(self) -> None:
        positions: dict[str, float] = defaultdict(float)
        expected: dict[str, float] = defaultdict(float)
        for record in self.desk.manager.orders():
            order = record.order
            fills = self.fills[order.order_id].values()
            assert record.filled_quantity == sum(fill.quantity for fill in fills)
            positions[order.symbol] += Direction(order.direction).sign * record.filled_quantity
            for fill in fills:
                expected[fill.symbol] += fill.direction.sign * fill.quantity
        assert {**positions, **expected} == dict(positions)

    @invariant()
    def more_than_was_ordered_is_always_reported(self) -> None:
        for order_id, record in self.desk.manager._book.completed.items():
            if record.filled_quantity > record.order.quantity > 0 and record.state is not OrderState.REJECTED:
                assert "OVERFILL" in [status.code for status in self.published[order_id]]

    @invariant()
    def the_history_is_what_was_published_without_the_refusals(self) -> None:
        for record in self.desk.manager.orders():
            history = iter(record.history)
            expected = next(history)
            for status in self.published[record.order.order_id]:
                if status == expected:
                    expected = next(history, None)
                else:
                    assert status.previous is status.state and status.code
            assert expected is None
            assert record.state is record.history[-1].state

    @invariant()
    def an_order_is_submitted_once_and_a_child_not_before_its_parent_filled(self) -> None:
        submitted = [message.order for message in self.desk.of(SubmitOrder)]
        assert len({order.order_id for order in submitted}) == len(submitted)
        for order in submitted:
            parent = self.desk.manager.order(order.parent_id)
            assert parent is None or parent.filled_quantity > 0


class ForgetfulTraffic(AnyTraffic):
    """The same with a memory for two completed orders, so that ids come back and parents are forgotten."""

    max_completed_orders = 2


@pytest.mark.parametrize("traffic", [RememberedTraffic, ForgetfulTraffic])
def test_it_holds_for_any_traffic(traffic):
    run_state_machine_as_test(traffic, settings=settings(max_examples=300, stateful_step_count=40, deadline=None))
