from __future__ import annotations

import pytest
from pydantic import ValidationError

from bus.runtime.settings import RunContext, RunSettings
from components.broker import SimulatedBroker
from components.broker.desk import FINAL_ORDERS_KEPT
from schemas import (
    Bar,
    BrokerReport,
    Direction,
    EndOfStream,
    Fill,
    OrderState,
    OrderType,
    ReportType,
    SubmitCancel,
    SubmitOrder,
    TimeInForce,
)
from tests.support.bench import Bench
from tests.support.builders import DAY_NS, T0, a_bar, an_order

TWO_SOURCES = RunContext(sources=("daily", "weekly"))


def submit(order_id: str = "risk-1", **terms) -> SubmitOrder:
    return SubmitOrder(an_order(order_id, **terms), "broker")


@pytest.mark.parametrize(
    ("parameters", "text"),
    [
        ({"fill_price": "best"}, "'next_open', 'latest', 'conservative', 'vwap' or 'close'"),
        ({"limit_touch": "beyond"}, "'touch' or 'through'"),
        ({"intrabar": {"path": "OCHL"}}, "'OHLC', 'OLHC' or 'adaptive'"),
        ({"max_volume_pct": 10}, "less than or equal to 1"),
        ({"max_volume_pct": 0}, "greater than 0"),
        ({"slippage": {"model": "fixd"}}, "did you mean 'fixed'"),
        ({"comission": {"model": "fixed"}}, "Extra inputs are not permitted"),
    ],
)
def test_a_wrong_parameter_is_refused_with_what_is_allowed(parameters, text):
    with pytest.raises(ValidationError, match=text):
        SimulatedBroker("broker", parameters)


def test_the_data_have_ended_when_all_sources_have():
    bench = Bench(SimulatedBroker("broker"), context=TWO_SOURCES)
    bench.publish(a_bar(0), EndOfStream("daily", 1), submit("risk-1"))
    assert bench.of(Fill) == []
    bench.publish(EndOfStream("weekly", 0), submit("risk-2"))
    assert [(fill.order_id, fill.rule) for fill in bench.of(Fill)] == [("risk-2", "last_close")]


def test_after_the_end_other_orders_wait_for_nothing_and_may_be_cancelled():
    bench = Bench(SimulatedBroker("broker"))
    bench.publish(a_bar(0), EndOfStream("data", 1), submit(order_type=OrderType.LIMIT, limit_price=200.0))
    assert bench.of(Fill) == []
    bench.publish(SubmitCancel("risk-1", "broker", T0))
    assert [report.report for report in bench.of(BrokerReport)] == [ReportType.CANCELLED]


def test_a_named_price_has_costs_like_any_other():
    costs = {"slippage": {"model": "fixed", "price_impact": 0.01}, "commission": {"model": "percentage", "rate": 0.001}}
    broker = SimulatedBroker("broker", costs)
    bench = Bench(broker)
    broker.execute_order(an_order(direction=Direction.SELL), price=50.0)
    bench.publish(a_bar(0))
    [fill] = bench.of(Fill)
    assert (fill.price, fill.reference_price, fill.rule) == (49.5, 50.0, "given_price")
    assert fill.commission == pytest.approx(4.95)


def test_a_model_learns_a_bar_only_after_the_bars_orders_have_met_it():
    slippage = {"model": "square_root", "window": 2, "Y": 1.0, "default_impact": 0.5}
    bench = Bench(SimulatedBroker("broker", {"slippage": slippage}))
    bench.publish(a_bar(0, c=100), a_bar(1, c=110), submit("risk-1"), a_bar(2, c=99), submit("risk-2"), a_bar(3))
    first, second = bench.of(Fill)
    assert first.slippage == 50.0, "one return is known at the open of bar 2, too few for a volatility"
    assert 0 < second.slippage < 50.0


def test_it_is_quiet_until_there_is_an_order_and_again_when_there_is_none():
    broker = SimulatedBroker("broker")
    bench = Bench(broker)
    assert Bar in broker.quiet
    bench.publish(a_bar(0), submit())
    assert Bar not in broker.quiet
    bench.publish(a_bar(1))
    assert Bar in broker.quiet


def test_it_is_not_quiet_while_a_cancel_that_will_be_refused_is_on_its_way():
    broker = SimulatedBroker("broker", {"latency": {"model": "fixed", "ms": 90_000_000}})
    bench = Bench(broker)
    bench.publish(a_bar(0), submit(), a_bar(1), SubmitCancel("risk-1", "broker", T0 + DAY_NS), a_bar(2))
    assert len(bench.of(Fill)) == 1
    assert Bar not in broker.quiet
    bench.publish(a_bar(3))
    assert [report.code for report in bench.of(BrokerReport)] == ["FINAL_ORDER"]
    assert Bar in broker.quiet


def test_random_latency_follows_from_the_runs_seed():
    def fills(seed: int) -> list[Fill]:
        latency = {"model": "uniform", "low_ms": 0, "high_ms": 80_000_000}
        bench = Bench(SimulatedBroker("broker", {"latency": latency}), context=RunContext(run=RunSettings(seed=seed)))
        bench.publish(a_bar(0), a_bar(1, 100, 110, 90, 100), submit("risk-1"), submit("risk-2"))
        bench.publish(a_bar(2, 100, 110, 90, 100))
        return bench.of(Fill)

    assert fills(1) == fills(1)
    assert fills(1) != fills(2)


def test_final_orders_are_remembered_but_not_for_ever():
    broker = SimulatedBroker("broker", {"fill_price": "latest", "max_volume_pct": None})
    bench = Bench(broker)
    bench.publish(a_bar(0))
    for n in range(FINAL_ORDERS_KEPT + 1):
        broker.execute_order(an_order(f"risk-{n}"))
    assert broker.get_order_status("risk-0") is None
    assert broker.get_order_status("risk-1") is OrderState.FILLED
    assert broker.get_order_status(f"risk-{FINAL_ORDERS_KEPT}") is OrderState.FILLED


def test_a_partly_filled_order_is_partial():
    broker = SimulatedBroker("broker")
    bench = Bench(broker)
    bench.publish(a_bar(0), submit(quantity=500.0), a_bar(1, volume=1000.0))
    assert broker.get_order_status("risk-1") is OrderState.PARTIAL


def test_a_day_order_that_latest_could_not_fill_gets_its_session_from_the_next_bar():
    bench = Bench(SimulatedBroker("broker", {"fill_price": "latest"}))
    bench.publish(a_bar(0, volume=100.0), submit(quantity=50.0, time_in_force=TimeInForce.DAY), a_bar(1, volume=100.0))
    assert [fill.quantity for fill in bench.of(Fill)] == [10.0, 10.0]
    assert [report.report for report in bench.of(BrokerReport)] == [ReportType.EXPIRED]
