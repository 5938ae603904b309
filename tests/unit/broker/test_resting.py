"""Which bars reach limit orders that rest, and what is kept of those that none does."""

from __future__ import annotations

import math

import pytest

from bus.runtime.block import Block
from bus.runtime.resting import Answered, Came, Cancelled, Request, RestingOrders
from components.broker import SimulatedBroker
from components.broker.resting import Reach
from schemas import (
    Bar,
    CancelOrder,
    Direction,
    GroupType,
    Message,
    Order,
    OrderState,
    OrderType,
    SubmitCancel,
    SubmitOrder,
    TimeInForce,
)
from tests.support.bench import Bench
from tests.support.builders import a_bar, an_order

LOWS = [99.0, 98.0, 97.0, 99.0, 95.0]
HIGHS = [101.0, 102.0, 104.0, 101.0, 103.0]
BARS = Block([a_bar(n, h=high, low=low) for n, (low, high) in enumerate(zip(LOWS, HIGHS, strict=True))])


def limit(order_id: str, price: float, side: str = "BUY", **other: object) -> Order:
    terms = {"order_type": OrderType.LIMIT, "limit_price": price, "direction": Direction(side), **other}
    return an_order(order_id, **terms)


def a_broker(**parameters: object) -> tuple[SimulatedBroker, Bench]:
    broker = SimulatedBroker("broker", {"max_volume_pct": None, **parameters})
    return broker, Bench(broker)


def reach_of(broker: SimulatedBroker, bars: Block = BARS, start: int = 0, end: int | None = None) -> Reach:
    return broker.resting().reach(bars, start, len(bars) if end is None else end, "AAPL")


@pytest.mark.parametrize(
    ("side", "price", "at", "first"),
    [
        ("BUY", 98.0, 0, 1),
        ("BUY", 98.0, 1, 2),
        ("BUY", 96.99, 0, 4),
        ("BUY", 95.0, 0, 4),
        ("BUY", 94.99, 0, 5),
        ("BUY", 98.0, 4, 5),
        ("SELL", 102.0, 0, 1),
        ("SELL", 103.0, 0, 2),
        ("SELL", 103.0, 2, 4),
        ("SELL", 104.01, 0, 5),
        ("SELL", 100.0, 1, 2),
    ],
)
def test_an_order_is_reached_by_the_first_bar_after_its_own_that_comes_to_its_limit(side, price, at, first):
    reach = reach_of(a_broker()[0])
    reach.add(limit("risk-1", price, side), at)
    assert reach.first == first


def test_of_several_orders_that_which_is_reached_first_counts_while_it_works():
    reach = reach_of(a_broker()[0])
    reach.add(limit("risk-1", 97.0), 0)
    reach.add(limit("risk-2", 102.0, "SELL"), 0)
    assert reach.first == 1
    del reach.reached["risk-2"]
    assert reach.first == 2


def test_bars_are_counted_from_where_they_start():
    reach = reach_of(a_broker()[0], start=2, end=4)
    assert reach.first == 4
    reach.add(limit("risk-1", 99.0), 2)
    assert reach.first == 3


@pytest.mark.parametrize(
    "odd", [{"volume": 0.0}, {"volume": 1e300}, {"volume": math.nan}, {"low": math.nan}, {"h": math.nan}]
)
def test_bars_end_before_one_without_volume_or_prices_or_with_too_much_of_it(odd):
    bars = Block([a_bar(0), a_bar(1), a_bar(2, **odd), a_bar(3)])
    assert reach_of(a_broker(max_volume_pct=0.1)[0], bars).first == 2


def test_where_volume_does_not_count_a_bar_needs_none():
    assert reach_of(a_broker()[0], Block([a_bar(0), a_bar(1, volume=0.0)])).first == 2


def test_orders_that_wait_are_reached_too_until_they_are_cancelled():
    broker, bench = a_broker()
    for number, price in enumerate([90.0, 98.5, 97.5]):
        bench.publish(SubmitOrder(limit(f"risk-{number}", price), "broker"))
    reach = reach_of(broker)
    assert reach.reached == {"risk-1": 1, "risk-2": 2}
    assert reach.first == 1


@pytest.mark.parametrize(
    "order",
    [
        an_order("stop", order_type=OrderType.STOP, stop_price=103.5),
        limit("grouped", 97.0, group_id="a group", group_type=GroupType.OCO),
    ],
)
def test_unusual_orders_that_wait_are_taken_to_wait_to_the_end(order):
    broker, bench = a_broker()
    bench.publish(SubmitOrder(order, "broker"), a_bar(-1), SubmitOrder(limit("risk-1", 90.0), "broker"))
    reach = reach_of(broker)
    assert (reach.first, reach.reached) == (2, {})
    reach.add(limit("risk-2", 99.0), 2)
    assert reach.first == 2, "what comes behind the end reaches nothing"


def test_very_many_orders_that_wait_are_not_told_apart():
    broker, bench = a_broker()
    for number in range(100):
        bench.publish(SubmitOrder(limit(f"risk-{number}", 97.0), "broker"))
    assert (reach_of(broker).first, reach_of(broker).reached) == (2, {})


@pytest.mark.parametrize(
    ("messages", "parameters"),
    [
        ((), {"latency": {"model": "fixed", "ms": 5}}),
        ((), {"intrabar": {"report_ambiguity": True}}),
        ((), {"fill_price": "latest"}),
        ((SubmitOrder(an_order("market"), "broker"),), {}),
        ((SubmitOrder(limit("day", 90.0, time_in_force=TimeInForce.DAY), "broker"),), {}),
        ((a_bar(0),), {}),
    ],
)
def test_where_orders_do_not_simply_come_with_the_next_bar_it_is_not_ready(messages, parameters):
    broker, bench = a_broker(**parameters)
    bench.publish(*messages)
    assert not broker.resting().is_ready(BARS, 0, "AAPL")


def test_orders_that_rest_and_those_that_come_do_not_matter():
    broker, bench = a_broker()
    bench.publish(a_bar(-2), SubmitOrder(limit("risk-1", 90.0), "broker"), a_bar(-1))
    bench.publish(SubmitOrder(limit("risk-2", 90.0), "broker"))
    assert broker.resting().is_ready(BARS, 0, "AAPL")


def test_an_order_rests_that_came_as_a_plain_limit_order_and_is_as_it_was():
    broker, bench = a_broker()
    bench.publish(a_bar(-2), SubmitOrder(limit("risk-1", 90.0), "broker"))
    bench.publish(SubmitOrder(limit("day", 90.0, time_in_force=TimeInForce.DAY), "broker"))
    resting = broker.resting()
    assert resting.rests("risk-1", "AAPL")
    assert not resting.rests("risk-1", "MSFT")
    assert not resting.rests("day", "AAPL")
    assert not resting.rests("nobody's", "AAPL")


def answered(at: int, *requests: Request) -> Answered:
    return Answered(at, BARS[at].ts, [], [list(requests)], list(requests))


STORY: list[Answered] = [
    answered(0, CancelOrder("old-1", 0), limit("risk-1", 90.0), limit("risk-2", 110.0, "SELL")),
    answered(2, CancelOrder("risk-1", 0), limit("risk-3", 91.0)),
    answered(4, CancelOrder("old-3", 0), limit("risk-4", 90.0)),
]


LAST_CANCELS: list[Answered] = [
    answered(0, CancelOrder("old-1", 0), CancelOrder("old-2", 0)),
    answered(4, CancelOrder("old-3", 0)),
]
EARLY_CANCELS: list[Answered] = [
    answered(0, CancelOrder("old-1", 0), CancelOrder("old-2", 0)),
    answered(3, CancelOrder("old-3", 0)),
]


def settled(together: bool, story: list[Answered] = STORY) -> SimulatedBroker:
    """A broker to which this has happened, all of it together or one after another."""
    broker, bench = a_broker()
    bench.publish(a_bar(-1))
    for number, price in enumerate([90.0, 89.0, 89.0], 1):
        bench.publish(SubmitOrder(limit(f"old-{number}", price), "broker"))
    if together:
        requests = [(request, each.ts) for each in story for request in each.requests]
        came = {r.order_id: Came(r, ts) for r, ts in requests if isinstance(r, Order)}
        cancelled = {r.order_id: Cancelled(r.reason, ts) for r, ts in requests if isinstance(r, CancelOrder)}
        matching = broker.resting()
        assert matching is not None
        matching.take(RestingOrders("AAPL", story, BARS[4].ts, came, cancelled), BARS, 0, len(BARS))
        return broker
    by_bar = {each.at: [told(request, each.ts) for request in each.requests] for each in story}
    for at, bar in enumerate(BARS):
        bench.publish(bar, *by_bar.get(at, ()))
    return broker


def told(request: Request, ts: int) -> Message:
    if isinstance(request, Order):
        return SubmitOrder(request, "broker")
    return SubmitCancel(request.order_id, "broker", ts)


def test_what_comes_together_is_kept_as_if_it_had_come_one_after_another():
    one, other = settled(together=True), settled(together=False)
    for order_id in ("old-1", "old-2", "old-3", "risk-1", "risk-2", "risk-3", "risk-4", "nobody's"):
        assert one.get_order_status(order_id) == other.get_order_status(order_id)
    assert one.get_order_status("risk-1") is OrderState.CANCELLED
    books = [broker._desk.books["AAPL"] for broker in (one, other)]
    for name in ("floor", "ceiling", "arriving_by", "last_ts", "interval", "last"):
        assert getattr(books[0], name) == getattr(books[1], name)
    assert [order.order.order_id for order in books[0].fresh] == ["risk-4"]
    assert list(one._desk.orders) == list(other._desk.orders) == ["old-2", "risk-2", "risk-3", "risk-4"]
    assert [(o.number, o.rested) for o in one._desk.orders.values()] == [
        (o.number, o.rested) for o in other._desk.orders.values()
    ]
    assert one.quiet == other.quiet == frozenset()
    assert Bar not in one.quiet


@pytest.mark.parametrize(("story", "is_quiet"), [(STORY, False), (LAST_CANCELS, False), (EARLY_CANCELS, True)])
def test_a_broker_is_quiet_when_bars_have_come_after_its_last_order(story, is_quiet):
    for together in (True, False):
        assert (Bar in settled(together, story).quiet) == is_quiet


def test_only_the_last_orders_that_ended_are_remembered(monkeypatch):
    monkeypatch.setattr("components.broker.desk.FINAL_ORDERS_KEPT", 2)
    one, other = settled(together=True), settled(together=False)
    assert one._desk.final == other._desk.final
    assert len(one._desk.final) == len(one._desk.final_ids) == 2
