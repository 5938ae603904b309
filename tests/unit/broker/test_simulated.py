from __future__ import annotations

import pytest
from pydantic import ValidationError

from bus.runtime.block import Block
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
    Quote,
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


def test_idle_bars_may_come_in_a_block():
    one_by_one, at_once = (Bench(SimulatedBroker("broker", {"slippage": {"model": "volatility"}})) for _ in range(2))
    bars = [a_bar(n, o=100 + n % 3, c=100 + n % 5, symbol=("AAPL", "MSFT")[n % 2]) for n in range(40)]
    one_by_one.publish(*bars)
    at_once.components[0].on_block(Block(bars), 0, 40)
    now = T0 + 40 * DAY_NS
    after = [submit("risk-1", ts=now), submit("risk-2", ts=now, symbol="MSFT"), a_bar(41), a_bar(42, symbol="MSFT")]
    for bench in (one_by_one, at_once):
        bench.publish(*after[:2], ts=now)
        bench.publish(*after[2:])
    assert one_by_one.of(Fill) == at_once.of(Fill)
    assert len(at_once.of(Fill)) == 2


def test_idle_quotes_may_come_in_a_block():
    bench = Bench(SimulatedBroker("broker"))
    quotes = Block(Quote(T0 + n, "AAPL", 99.0 + n, 500.0, 101.0 + n, 300.0) for n in range(3))
    bench.components[0].on_block(quotes, 0, 3)
    bench.publish(submit("risk-1"), Quote(T0 + 3, "AAPL", 102.0, 500.0, 104.0, 300.0))
    assert [fill.rule for fill in bench.of(Fill)] == ["market_quote"]


@pytest.mark.parametrize(
    "costs",
    [
        {},
        {"slippage": {"model": "none"}, "commission": {"model": "none"}},
        {"commission": {"model": "fixed", "minimum": 2.0}},
        {"commission": {"model": "none", "extra_fees": [{"name": "tax", "rate": 0.001}]}},
        {"slippage": {"model": "fixed", "price_impact": 0.01}},
    ],
)
def test_models_that_cost_nothing_are_not_asked_and_all_others_are(costs):
    bench = Bench(SimulatedBroker("broker", costs))
    bench.publish(a_bar(0), submit("risk-1"), a_bar(1))
    (fill,) = bench.of(Fill)
    model = costs.get("commission", {})
    is_dear = bool(model.get("minimum") or model.get("extra_fees"))
    assert bool(fill.commission) == is_dear == bool(fill.fees)
    assert fill.slippage == (1.0 if "price_impact" in costs.get("slippage", {}) else 0.0)


def test_a_day_order_on_the_close_fills_on_a_quote_at_the_very_end_of_its_session():
    bench = Bench(SimulatedBroker("broker"))
    quotes = [Quote(T0 + hour * DAY_NS // 24, "AAPL", 99.0, 500.0, 101.0, 300.0) for hour in (10, 11, 24)]
    bench.publish(quotes[0])
    on_close = {"order_type": OrderType.MARKET_ON_CLOSE, "time_in_force": TimeInForce.DAY}
    bench.publish(submit(**on_close), ts=quotes[0].ts)
    bench.publish(*quotes[1:])
    assert [(fill.rule, fill.price) for fill in bench.of(Fill)] == [("market_on_close", 101.0)]
    assert bench.of(BrokerReport) == []
