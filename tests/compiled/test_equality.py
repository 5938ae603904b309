"""The compiled loop and the event-driven engine: the same fills and the same result, whatever the configuration."""

from __future__ import annotations

from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from schemas import Bar, CloseRule
from tests.compiled.engine import assert_same, compiled, event_driven, plan_for
from tests.support.builders import DAY_NS, T0

PRICES = st.integers(1, 400).map(lambda n: n / 20)
VOLUMES = st.sampled_from([0.0, 3.0, 250.0, 999.0, 1e4, 1e6])
RULES = [
    {"class": "MovingAverageCrossover", "fast": 2, "slow": 5},
    {"class": "ArrayStrategy", "rule": "tests.support.array_rules.by_last_digit", "params": {"shift": 1}},
    {
        "class": "ArrayStrategy",
        "rule": "tests.support.array_rules.crossover",
        "params": {"fast": 1, "slow": 3},
        "lookback": "slow",
    },
]
SLIPPAGES = [
    {"model": "none"},
    {"model": "fixed", "price_impact": 0.0007},
    {"model": "percentage", "base_pct": 0.0003, "size_impact": 1e-6, "max_pct": 0.01},
    {"model": "volume", "price_impact": 0.3, "volume_limit": 0.2},
]
COMMISSIONS = [
    {"model": "none"},
    {"model": "fixed", "cost_per_trade": 1.35},
    {"model": "percentage", "rate": 0.0013},
    {"model": "percentage", "rate": -0.0001},
    {"model": "percentage", "rate": 0.001, "minimum": 2.5, "maximum": 17.3},
    {"model": "per_share", "rate": 0.005, "minimum": 1.0, "maximum_pct": 0.004},
]
SIZES = [
    {"quantity": 100},
    {"quantity": 0.3},
    {"quantity": 1234.5678},
    {"percent_of_equity": 35},
    {"percent_of_equity": 110},
]
STEPS = [
    {},
    {"lot_size": 0.1},
    {"lot_size": 25, "min_quantity": 50},
    {"tick_size": 0.01, "multiplier": 50},
    {"tick_size": 0.25, "lot_size": 0.001, "max_quantity": 90},
]


@st.composite
def bars(draw: Any) -> list[Bar]:
    """Some days of one symbol or two, with days on which one of them does not trade."""
    symbols = draw(st.sampled_from([("AAPL",), ("AAPL", "MSFT")]))
    found = []
    for day in range(draw(st.integers(2, 30))):
        for symbol in symbols:
            if day < 1 or draw(st.integers(0, 9)):
                prices = sorted(draw(st.tuples(PRICES, PRICES, PRICES, PRICES)))
                first, last = (1, 2) if draw(st.booleans()) else (2, 1)
                volume = draw(VOLUMES)
                found.append(Bar(T0 + day * DAY_NS, symbol, prices[first], prices[3], prices[0], prices[last], volume))
    return found


@st.composite
def plans(draw: Any) -> Any:
    """A topology that can be compiled."""
    broker = {
        "class": "SimulatedBroker",
        "fill_price": draw(st.sampled_from(["next_open", "latest", "conservative", "vwap", "close"])),
        "max_volume_pct": draw(st.sampled_from([None, 0.1, 0.037, 1.0])),
        "slippage": draw(st.sampled_from(SLIPPAGES)),
        "slippage_within_bar": draw(st.booleans()),
        "commission": draw(st.sampled_from(COMMISSIONS)),
    }
    risk = {"class": "RiskStub", "allow_short": draw(st.booleans()), **draw(st.sampled_from(SIZES))}
    backtest = {
        "symbols": ["AAPL", "MSFT"],
        "initial_cash": draw(st.sampled_from([100_000.0, 1234.56])),
        "close_at_end": draw(st.sampled_from(["none", "last_close"])),
        "instruments": [{"symbol": "AAPL", **draw(st.sampled_from(STEPS))}],
    }
    strategy = draw(st.sampled_from(RULES))
    return plan_for({"strategy": strategy, "risk_manager": risk, "broker": broker}, backtest)


@settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))
@given(plans(), bars())
def test_every_fill_and_every_result_is_the_same(plan, tape):
    expected, found = event_driven(plan, tape), compiled(plan, tape)
    assert found.fills == expected.fills
    assert_same(found.statistics, expected.statistics)


@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
@given(plans(), bars().filter(lambda tape: len({bar.symbol for bar in tape}) == 1))
def test_positions_that_are_closed_at_the_next_open_are_the_same(plan, tape):
    run = plan.context.run.model_copy(update={"close_at_end": CloseRule.NEXT_OPEN})
    object.__setattr__(plan, "context", plan.context.model_copy(update={"run": run}))
    expected, found = event_driven(plan, tape), compiled(plan, tape)
    assert found.fills == expected.fills
    assert_same(found.statistics, expected.statistics)
