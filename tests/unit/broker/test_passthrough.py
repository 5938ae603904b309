from __future__ import annotations

from components.broker import PassthroughBroker
from schemas import Bar, BrokerReport, Direction, Fill, OrderType, Quote, SubmitCancel, SubmitOrder, Trade
from tests.support.bench import Bench
from tests.support.builders import T0, a_bar, an_order


def test_a_named_price_goes_before_all_others():
    broker = PassthroughBroker("broker")
    bench = Bench(broker)
    broker.execute_order(an_order(order_type=OrderType.LIMIT, limit_price=90.0), price=80.0)
    bench.publish(a_bar(0))
    [fill] = bench.of(Fill)
    assert (fill.price, fill.rule) == (80.0, "passthrough_given")


def test_it_is_quiet_unless_an_order_waits_for_a_price():
    broker = PassthroughBroker("broker")
    bench = Bench(broker)
    bench.publish(a_bar(0, symbol="MSFT"), SubmitOrder(an_order("risk-1"), "broker"))
    assert broker.quiet == frozenset()
    bench.publish(a_bar(1))
    assert broker.quiet == {Bar, Quote, Trade}
    assert len(bench.of(Fill)) == 1


def test_every_order_that_waits_gets_the_first_price():
    bench = Bench(PassthroughBroker("broker"))
    for n, direction in ((1, Direction.BUY), (2, Direction.SELL)):
        bench.publish(SubmitOrder(an_order(f"risk-{n}", direction=direction), "broker"), ts=T0)
    bench.publish(SubmitOrder(an_order("risk-3", symbol="MSFT"), "broker"), ts=T0)
    bench.publish(a_bar(1, c=101), a_bar(2, c=50, symbol="MSFT"))
    assert [(fill.order_id, fill.price) for fill in bench.of(Fill)] == [
        ("risk-1", 101.0),
        ("risk-2", 101.0),
        ("risk-3", 50.0),
    ]


def test_fills_name_the_time_of_the_price_that_they_used():
    bench = Bench(PassthroughBroker("broker"))
    bench.publish(a_bar(0))
    bench.publish(SubmitOrder(an_order(), "broker"), ts=T0 + 5)
    [fill] = bench.of(Fill)
    assert (fill.ts, fill.bar_ts) == (T0 + 5, T0)


def test_an_order_that_was_cancelled_while_it_waited_does_not_fill():
    bench = Bench(PassthroughBroker("broker"))
    bench.publish(SubmitOrder(an_order(), "broker"), SubmitCancel("risk-1", "broker", T0), ts=T0)
    bench.publish(a_bar(1))
    assert bench.of(Fill) == []
    assert len(bench.of(BrokerReport)) == 1
