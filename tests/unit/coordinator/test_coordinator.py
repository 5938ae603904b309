"""The coordinator on a bus: who is asked for what, and when; and the result."""

from __future__ import annotations

import datetime as dt
import json

import pytest
from pydantic import ValidationError

from bus.runtime.component import EXECUTION_TYPES
from bus.runtime.settings import RunContext, RunSettings
from components.coordinator import BacktestCoordinator
from components.coordinator.results import Results
from components.portfolio import Portfolio
from schemas import (
    AmbiguityReport,
    Bar,
    ClosePositions,
    CloseRule,
    Direction,
    Drained,
    EndOfStream,
    Fill,
    OrderState,
    OrderStatus,
    ReportRequested,
    RunCompleted,
    RunStarted,
    Signal,
    StartStream,
    StreamEnding,
)
from tests.support.bench import Bench
from tests.support.builders import DAY_NS, T0, a_bar, a_fill

STARTED = RunStarted(config="{}", config_hash="", schema_hash="", version="1")


def bench(*others, sources=("a", "b"), parameters=None, **run):
    settings = RunSettings(**{"initial_cash": 10_000.0, **run})
    coordinator = BacktestCoordinator("coordinator", parameters)
    return Bench(coordinator, *others, context=RunContext(run=settings, sources=sources))


def status(state, previous=None, order_id="risk-1"):
    return OrderStatus(order_id, "AAPL", previous, state, 0.0, 0.0, T0)


def test_every_source_is_asked_to_start_when_the_run_does():
    assert bench().publish(STARTED) == [STARTED, StartStream("a"), StartStream("b")]


def test_positions_are_closed_at_the_last_close_when_all_sources_have_ended():
    b = bench()
    assert b.of(ClosePositions, b.publish(EndOfStream("a", 10), ts=5)) == []
    said = b.publish(EndOfStream("b", 20), ts=7)
    assert b.of(ClosePositions, said) == [ClosePositions(7, CloseRule.LAST_CLOSE, "close_at_end")]


def test_positions_are_closed_at_the_next_open_before_the_last_bars_and_the_rest_at_the_last_close():
    b = bench(close_at_end="next_open")
    b.publish(StreamEnding("a", 7), ts=5)
    b.publish(StreamEnding("b", 7), EndOfStream("a", 1), EndOfStream("b", 1), ts=6)
    assert [close.rule for close in b.of(ClosePositions)] == [CloseRule.NEXT_OPEN, CloseRule.LAST_CLOSE]


def test_positions_stay_open_if_the_configuration_says_so():
    b = bench(close_at_end="none")
    b.publish(StreamEnding("a", 7), StreamEnding("b", 7), EndOfStream("a", 1), EndOfStream("b", 1))
    assert b.of(ClosePositions) == []


@pytest.mark.parametrize("repeated", [EndOfStream("a", 10), EndOfStream("nobody", 10)])
def test_a_source_ends_once_and_a_stranger_never(repeated):
    b = bench()
    b.publish(EndOfStream("a", 10), repeated)
    assert b.of(ClosePositions) == []


def test_the_report_is_asked_for_first_and_the_run_completed_afterwards():
    b = bench()
    assert b.publish(Drained(1), ts=9) == [Drained(1), ReportRequested(9)]
    assert b.of(RunCompleted) == []
    b.publish(Drained(2))
    assert len(b.of(RunCompleted)) == 1
    assert b.publish(Drained(3)) == [Drained(3)]


def test_bars_and_orders_are_counted_without_listening_to_bars():
    b = bench()
    b.publish(status(OrderState.RECEIVED), status(OrderState.VALIDATED, OrderState.RECEIVED))
    b.publish(status(OrderState.RECEIVED, order_id="risk-2"), status(OrderState.REJECTED, OrderState.RECEIVED))
    b.publish(status(OrderState.REJECTED, OrderState.REJECTED))
    b.publish(EndOfStream("a", 10), EndOfStream("b", 20), Drained(1), Drained(2))
    counts = b.of(RunCompleted)[0].counts
    assert counts == {"bars": 30, "orders": 2, "rejected": 1, "fills": 0, "trades": 0}
    assert not {Bar, Fill, Signal} & set(b.components[0].handlers())


def test_it_belongs_to_the_execution_side_and_waits_for_nothing_it_will_not_answer():
    coordinator = BacktestCoordinator("coordinator")
    assert coordinator.component_type in EXECUTION_TYPES
    assert OrderStatus in coordinator.quiet
    assert not {RunStarted, EndOfStream, StreamEnding, Drained} & coordinator.quiet


def a_run(**options):
    """Ten days; a long round trip that wins 100, a short one that loses 50, one dollar a fill."""
    b = bench(Portfolio("portfolio"), sources=("a",), **options)
    b.publish(STARTED)
    closes = (100, 100, 105, 110, 110, 110, 112, 115, 115, 115)
    fills = {1: ("BUY", 100.0), 3: ("SELL", 110.0), 5: ("SELL", 110.0), 7: ("BUY", 115.0)}
    for n, close in enumerate(closes):
        b.publish(a_bar(n, c=close))
        if n in fills:
            side, price = fills[n]
            values = {"direction": Direction(side), "quantity": 10.0, "price": price, "commission": 1.0}
            b.publish(a_fill(f"b-{n}", ts=T0 + n * DAY_NS, **values))
    b.publish(EndOfStream("a", 10), Drained(1), Drained(2))
    return b


def test_a_run_ends_with_its_statistics():
    [completed] = a_run().of(RunCompleted)
    statistics = completed.statistics
    assert completed.counts == {"bars": 10, "orders": 0, "rejected": 0, "fills": 4, "trades": 2}
    assert statistics["total_return_pct"] == pytest.approx(0.46)
    assert statistics["final_equity"] == 10_046.0
    assert (statistics["win_rate"], statistics["avg_win"], statistics["avg_loss"]) == (0.5, 98.0, -52.0)
    assert statistics["profit_factor"] == pytest.approx(98 / 52)
    assert (statistics["fees"], statistics["realised_pnl"], statistics["unrealised_pnl"]) == (4.0, 46.0, 0.0)
    assert statistics["time_in_market"] == 0.4
    # The account is flat at its height on days 3 and 4, and falls from the latter.
    assert statistics["max_drawdown_peak"] == "2020-01-06T00:00:00+00:00"


def test_the_results_are_what_was_published():
    b = a_run()
    [completed] = b.of(RunCompleted)
    results = next(c for c in b.components if isinstance(c, BacktestCoordinator)).results
    assert results == {"statistics": completed.statistics, "counts": completed.counts}


def test_the_result_is_json_without_nan_or_infinity():
    for b in (a_run(), bench()):
        b.publish(Drained(1), Drained(2))
        json.dumps(b.of(RunCompleted)[0].statistics, allow_nan=False)


def test_a_run_that_trades_in_its_first_timestamp_is_measured_from_its_initial_cash():
    b = bench(Portfolio("portfolio"), sources=("a",))
    b.publish(a_bar(0, c=100), a_fill(quantity=10.0, price=99.0), a_bar(1, c=100))
    b.publish(Drained(1), Drained(2))
    assert b.of(RunCompleted)[0].statistics["total_return_pct"] == pytest.approx(0.1)
    assert b.of(RunCompleted)[0].statistics["winning_days"] == 0.5


def test_trades_in_a_currency_without_a_rate_are_counted_but_not_added_up():
    from schemas import ClosedTrade

    b = bench()
    b.publish(ClosedTrade("p-1", "SAP", Direction.BUY, 1.0, T0, 1.0, T0, 2.0, 5.0, 0.0, currency="EUR"))
    b.publish(Drained(1), Drained(2))
    assert b.of(RunCompleted)[0].counts["trades"] == 1
    assert b.of(RunCompleted)[0].statistics["avg_win"] == 0.0


def test_the_frequency_may_be_configured():
    assert a_run().of(RunCompleted)[0].statistics["periods_per_year"] == 365.0
    assert a_run(periods_per_year=252).of(RunCompleted)[0].statistics["periods_per_year"] == 252.0


def test_the_risk_convention_is_a_parameter():
    usual = a_run().of(RunCompleted)[0].statistics["volatility"]
    sample = a_run(parameters={"risk_convention": "sample"}).of(RunCompleted)[0].statistics["volatility"]
    assert sample == pytest.approx(usual * (9 / 8) ** 0.5)
    with pytest.raises(ValidationError):
        BacktestCoordinator("coordinator", {"risk_convention": "other"})


def test_reset_leaves_nothing_behind():
    b = bench(Portfolio("portfolio"), sources=("a",))
    story = [STARTED, a_bar(0), a_fill("1"), a_bar(1, c=110), EndOfStream("a", 2), Drained(1), Drained(2)]
    first = b.publish(*story)
    for component in b.components:
        component.reset()
    assert b.publish(*story) == first


def test_trades_given_as_dicts_are_analysed():
    b = bench()
    entry, leave = dt.datetime(2020, 1, 1, 9, tzinfo=dt.UTC), dt.datetime(2020, 1, 1, 12, tzinfo=dt.UTC)
    trades = [
        {"realized_pnl": 30.0, "quantity": -10, "entry_time": entry, "exit_time": leave},
        {"realized_pnl": -10.0, "quantity": 20},
    ]
    analysed = b.components[0].analyze_trades(trades)
    assert (analysed["profit_factor"], analysed["avg_holding_time"], analysed["avg_trade_size"]) == (3.0, 3.0, 15.0)
    assert b.components[0].analyze_trades([]) == {}


def test_an_equity_curve_given_as_dicts_is_analysed_as_daily():
    coordinator = bench().components[0]
    analysed = coordinator.analyze_equity_curve([{"portfolio_value": v} for v in (100, 110, 99, 120)])
    assert analysed["total_return"] == pytest.approx(0.2)
    assert analysed["max_drawdown"] == pytest.approx(0.1)
    assert (analysed["periods_per_year"], analysed["max_drawdown_peak"]) == (252.0, None)
    assert coordinator.analyze_equity_curve([]) == {}


def test_what_brokers_say_of_the_path_inside_bars_is_summed():
    results = Results(RunSettings(), "specification")
    assert "ambiguous_orders" not in results.statistics()
    results.add_ambiguity(AmbiguityReport(T0, "one", 2, 3, 10.0, -5.0))
    results.add_ambiguity(AmbiguityReport(T0, "two", 1, 1, 0.5, 0.0))
    statistics = results.statistics()
    assert [statistics[key] for key in ("ambiguous_bars", "ambiguous_orders")] == [3, 4]
    assert [statistics[key] for key in ("ambiguity_better", "ambiguity_worse")] == [10.5, -5.0]
