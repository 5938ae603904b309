"""What every broker must do. A new broker is added to BROKERS and inherits all of it."""

from __future__ import annotations

from collections import Counter, defaultdict

import pytest

from bus.runtime.settings import RunContext, RunSettings
from components.broker import BrokerBase, PassthroughBroker, SimulatedBroker
from schemas import (
    Bar,
    BrokerReport,
    Direction,
    Fill,
    OrderState,
    OrderType,
    ReportType,
    SubmitCancel,
    SubmitOrder,
    SubmitReplace,
)
from schemas.codec import canonical, encode
from tests.conformance.broker_traffic import traffic
from tests.support.bench import Bench
from tests.support.builders import T0, a_bar, an_order

COSTS = {
    "slippage": {"model": "percentage"},
    "commission": {"model": "per_share", "rate": 0.01, "minimum": 1.0},
}
BROKERS = {
    "simulated": lambda: SimulatedBroker("broker"),
    "simulated with costs": lambda: SimulatedBroker("broker", COSTS),
    "simulated with latency": lambda: SimulatedBroker(
        "broker", {"latency": {"model": "uniform", "low_ms": 1_000, "high_ms": 60_000_000}}
    ),
    "simulated latest": lambda: SimulatedBroker("broker", {"fill_price": "latest", "intrabar": {"path": "OHLC"}}),
    "simulated conservative": lambda: SimulatedBroker("broker", {"fill_price": "conservative", **COSTS}),
    "passthrough": lambda: PassthroughBroker("broker"),
}
ANSWERS = {
    (ReportType.CANCELLED, ""): "cancelled",
    (ReportType.CANCEL_REJECTED, "FINAL_ORDER"): "cancelled",
    (ReportType.REPLACED, ""): "amended",
    (ReportType.REPLACE_REJECTED, "FINAL_ORDER"): "amended",
    (ReportType.REPLACE_REJECTED, "BELOW_FILLED"): "amended",
}
"""Which reports answer a request; other cancellations and replacements are the broker's own."""


@pytest.fixture(params=BROKERS.values(), ids=BROKERS)
def broker(request) -> BrokerBase:
    return request.param()


def a_bench(broker: BrokerBase) -> Bench:
    return Bench(broker, context=RunContext(run=RunSettings(seed=7), sources=("data",)))


def fill_one(broker: BrokerBase) -> tuple[Bench, Fill]:
    """A market order, filled whichever way the broker fills it."""
    bench = a_bench(broker)
    bench.publish(a_bar(0), SubmitOrder(an_order("risk-1", quantity=10.0), "broker"), a_bar(1), a_bar(2), a_bar(3))
    [fill] = bench.of(Fill)
    return bench, fill


def let_one_wait(broker: BrokerBase) -> Bench:
    """A market order that waits, because there has been no price."""
    bench = a_bench(broker)
    bench.publish(SubmitOrder(an_order("risk-1", quantity=10.0), "broker"), ts=T0)
    return bench


def reports(bench: Bench) -> list[tuple[str, str]]:
    return [(report.report, report.code) for report in bench.of(BrokerReport)]


def run(broker: BrokerBase, seed: int) -> Bench:
    bench = a_bench(broker)
    for message in traffic(seed):
        bench.publish(message)
    return bench


def test_a_market_order_fills_in_full(broker):
    _, fill = fill_one(broker)
    assert (fill.order_id, fill.symbol, fill.direction) == ("risk-1", "AAPL", Direction.BUY)
    assert (fill.quantity, fill.leaves_quantity, fill.broker) == (10.0, 0.0, "broker")
    assert fill.commission == sum(line.amount for line in fill.fees)


def test_a_cancel_after_the_last_fill_is_refused(broker):
    bench, _ = fill_one(broker)
    bench.publish(SubmitCancel("risk-1", "broker", T0))
    assert reports(bench) == [(ReportType.CANCEL_REJECTED, "FINAL_ORDER")]


def test_an_amendment_after_the_last_fill_is_refused(broker):
    bench, _ = fill_one(broker)
    bench.publish(SubmitReplace(an_order("risk-1", quantity=20.0), "broker", T0))
    assert reports(bench) == [(ReportType.REPLACE_REJECTED, "FINAL_ORDER")]


def test_requests_for_an_unknown_order_are_refused(broker):
    bench = a_bench(broker)
    bench.publish(SubmitCancel("nobody", "broker", T0), SubmitReplace(an_order("nobody"), "broker", T0))
    assert reports(bench) == [
        (ReportType.CANCEL_REJECTED, "UNKNOWN_ORDER"),
        (ReportType.REPLACE_REJECTED, "UNKNOWN_ORDER"),
    ]


def test_what_is_addressed_to_another_broker_is_ignored(broker):
    bench = a_bench(broker)
    bench.publish(
        a_bar(0),
        SubmitOrder(an_order("risk-1"), "another"),
        SubmitCancel("risk-1", "another", T0),
        SubmitReplace(an_order("risk-1"), "another", T0),
        a_bar(1),
    )
    assert bench.of(Fill) == []
    assert bench.of(BrokerReport) == []
    assert broker.get_order_status("risk-1") is None


def test_an_order_that_waits_may_be_cancelled_once(broker):
    bench = let_one_wait(broker)
    bench.publish(SubmitCancel("risk-1", "broker", T0), SubmitCancel("risk-1", "broker", T0))
    bench.publish(a_bar(1), a_bar(2), a_bar(3))
    assert reports(bench) == [(ReportType.CANCELLED, ""), (ReportType.CANCEL_REJECTED, "FINAL_ORDER")]
    assert bench.of(Fill) == []


def test_an_amended_order_fills_its_new_quantity(broker):
    bench = let_one_wait(broker)
    bench.publish(SubmitReplace(an_order("risk-1", quantity=25.0), "broker", T0), a_bar(1), a_bar(2), a_bar(3))
    [report] = bench.of(BrokerReport)
    assert (report.report, report.quantity) == (ReportType.REPLACED, 25.0)
    assert [fill.quantity for fill in bench.of(Fill)] == [25.0]


def test_an_order_that_comes_twice_is_worked_once(broker):
    bench = let_one_wait(broker)
    bench.publish(SubmitOrder(an_order("risk-1", quantity=10.0), "broker"), ts=T0)
    bench.publish(a_bar(1), a_bar(2), a_bar(3))
    bench.publish(SubmitOrder(an_order("risk-1", quantity=10.0), "broker"), a_bar(4), a_bar(5))
    assert len(bench.of(Fill)) == 1


def test_an_order_without_its_price_is_rejected_with_what_it_lacks(broker):
    bench = a_bench(broker)
    bench.publish(a_bar(0), SubmitOrder(an_order("risk-1", order_type=OrderType.LIMIT), "broker"), a_bar(1))
    [report] = bench.of(BrokerReport)
    assert (report.report, report.code) == (ReportType.REJECTED, "INCOMPLETE_ORDER")
    assert report.reason == "a LIMIT order needs a limit_price"
    assert broker.get_order_status("risk-1") is OrderState.REJECTED


def test_the_status_of_an_order_is_known(broker):
    bench = let_one_wait(broker)
    assert broker.get_order_status("risk-1") is OrderState.ROUTED
    bench.publish(a_bar(1), a_bar(2), a_bar(3))
    assert broker.get_order_status("risk-1") is OrderState.FILLED


def test_a_named_price_fills_at_once(broker):
    bench = a_bench(broker)
    broker.execute_order(an_order("risk-1", quantity=10.0), price=50.0)
    bench.publish(a_bar(1))
    [fill] = bench.of(Fill)
    assert (fill.reference_price, fill.quantity) == (50.0, 10.0)
    assert fill.rule in ("given_price", "passthrough_given")


def test_fills_never_sum_to_more_than_the_order(broker, seed):
    bench = run(broker, seed)
    quantities = {m.order.order_id: m.order.quantity for m in bench.of(SubmitOrder)}
    filled: dict[str, float] = defaultdict(float)
    for message in bench.said:
        if isinstance(message, BrokerReport) and message.report is ReportType.REPLACED:
            quantities[message.order_id] = message.quantity
        elif isinstance(message, Fill):
            filled[message.order_id] += message.quantity
            assert message.quantity > 0
            left = quantities[message.order_id] - filled[message.order_id]
            assert message.leaves_quantity == pytest.approx(left, abs=1e-9)
            assert left >= 0
    assert len(filled) > 10, "the traffic must make fills"


def test_nothing_is_said_of_an_order_after_it_is_final_but_refusals(broker, seed):
    final = set()
    for message in run(broker, seed).said:
        if isinstance(message, Fill):
            assert message.order_id not in final
            if message.leaves_quantity == 0:
                final.add(message.order_id)
        elif isinstance(message, BrokerReport) and not message.report.endswith("_REJECTED"):
            assert message.order_id not in final
            if message.report in (ReportType.CANCELLED, ReportType.EXPIRED, ReportType.REJECTED):
                final.add(message.order_id)


def test_every_request_is_answered_once(broker, seed):
    bench = run(broker, seed)
    bench.publish(*(a_bar(d, symbol=s, volume=0.0) for d in (200, 400) for s in ("AAPL", "MSFT")))
    answers = Counter(ANSWERS.get((report.report, report.code)) for report in bench.of(BrokerReport))
    assert answers["amended"] == len(bench.of(SubmitReplace))
    assert answers["cancelled"] == len(bench.of(SubmitCancel))


def test_the_same_input_gives_the_same_bytes(broker, seed):
    other = type(broker)("broker", broker.parameters.model_dump())
    assert [encode(m) for m in run(broker, seed).said] == [encode(m) for m in run(other, seed).said]


def test_reset_leaves_nothing_behind(broker):
    first = [encode(m) for m in run(broker, 1).said]
    run(broker, 2)
    assert [encode(m) for m in run(broker, 1).said] == first


def test_what_it_says_is_canonical(broker, seed):
    for message in run(broker, seed).said:
        again = canonical(message)
        assert encode(again) == encode(message)
        for name in message.__struct_fields__:
            assert type(getattr(again, name)) is type(getattr(message, name)), name


def test_fills_are_numbered_and_never_from_the_future(broker, seed):
    bench = a_bench(broker)
    for message in traffic(seed):
        for fill in bench.of(Fill, bench.publish(message)):
            assert fill.ts == bench.clock.now_ns
            assert fill.bar_ts <= fill.ts
    assert [fill.fill_id for fill in bench.of(Fill)] == [f"broker-{n + 1}" for n in range(len(bench.of(Fill)))]


def test_a_broker_that_says_it_is_quiet_is(broker, seed):
    bench = a_bench(broker)
    quiet_bars = 0
    for message in traffic(seed):
        quiet = type(message) in broker.quiet
        said = bench.publish(message)
        assert not quiet or said == [message]
        quiet_bars += quiet
    assert Bar in a_bench(broker).components[0].quiet
    assert quiet_bars > 0 or "latency" in str(broker.parameters)


def test_prices_are_never_negative(broker):
    dear = {**broker.parameters.model_dump(), "slippage": {"model": "fixed", "price_impact": 3.0}}
    if isinstance(broker, PassthroughBroker):
        dear = {}
    bench = run(type(broker)("broker", dear), 0)
    assert min(fill.price for fill in bench.of(Fill)) >= 0.0


def test_two_brokers_side_by_side_do_not_disturb_each_other(broker):
    other = type(broker)("other", broker.parameters.model_dump())
    bench = Bench(broker, other)
    bench.publish(SubmitOrder(an_order("risk-1"), "broker"), SubmitOrder(an_order("risk-2"), "other"), ts=T0)
    bench.publish(a_bar(1), a_bar(2), a_bar(3))
    assert sorted((fill.order_id, fill.broker, fill.fill_id) for fill in bench.of(Fill)) == [
        ("risk-1", "broker", "broker-1"),
        ("risk-2", "other", "other-1"),
    ]
