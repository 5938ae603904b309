"""The same strategies here and in backtrader, where the rules agree: the same fills, final cash and equity curve."""

from __future__ import annotations

import pytest

from tests.independent import engine
from tests.independent.bars import REAL, generate, read, write
from tests.independent.outcome import Costs, differences
from tests.independent.peer import import_backtrader_side
from tests.independent.rules import RULES

backtrader = import_backtrader_side()

AGREED = (
    "market_entries",
    "resting_limits",
    "stop_entries",
    "stop_limits_beyond",
    "wide_brackets",
    "withdrawn_brackets",
)
WITH_SLIPPAGE = ("market_entries", "stop_entries")
SLIPPAGE = {"inside the bar": Costs(slippage=0.002, within_bar=True), "anywhere": Costs(slippage=0.002)}


@pytest.mark.parametrize("rule", AGREED)
def test_orders_of_a_type_fill_alike_on_real_data(rule, tmp_path):
    ours = engine.run_rule(tmp_path, REAL, Costs(), rule)
    theirs = backtrader.run_rule(read(REAL), Costs(), engine.CASH, RULES[rule])
    assert differences(ours, theirs) == []
    assert len(ours.executions) > 3_000


@pytest.mark.parametrize("walk", range(8))
@pytest.mark.parametrize("rule", AGREED)
def test_orders_of_a_type_fill_alike_on_generated_bars(rule, walk, tmp_path):
    rows = generate(walk)
    ours = engine.run_rule(tmp_path, write(rows, tmp_path / "bars.csv"), Costs(), rule)
    theirs = backtrader.run_rule(rows, Costs(), engine.CASH, RULES[rule])
    assert differences(ours, theirs) == []
    assert len(ours.executions) > 200


@pytest.mark.parametrize("slippage", SLIPPAGE)
@pytest.mark.parametrize("rule", WITH_SLIPPAGE)
def test_orders_that_take_liquidity_slip_alike(rule, slippage, tmp_path):
    costs = SLIPPAGE[slippage]
    ours = engine.run_rule(tmp_path, REAL, costs, rule)
    theirs = backtrader.run_rule(read(REAL), costs, engine.CASH, RULES[rule])
    assert differences(ours, theirs) == []


@pytest.mark.parametrize("short", [False, True], ids=["long only", "long and short"])
@pytest.mark.parametrize(("fast", "slow"), [(3, 8), (5, 10), (10, 30), (20, 50)])
@pytest.mark.parametrize("data", ["real", "generated"])
def test_a_crossover_trades_alike(data, fast, slow, short, tmp_path):
    rows = read(REAL) if data == "real" else generate(11, 1000)
    path = REAL if data == "real" else write(rows, tmp_path / "bars.csv")
    costs = Costs(slippage=0.0005)
    ours = engine.run(
        tmp_path,
        path,
        costs,
        strategy={"class": "MovingAverageCrossover", "fast": fast, "slow": slow},
        risk_manager={"class": "RiskStub", "quantity": 100, "allow_short": short},
    )
    terms = {"fast": fast, "slow": slow, "short": short, "quantity": 100}
    theirs = backtrader.run(rows, costs, engine.CASH, backtrader.Crossover, **terms)
    assert differences(ours, theirs) == []
    assert len(ours.executions) > 20


@pytest.mark.parametrize("walk", [None, *range(20, 24)])
def test_brackets_that_risk_makes_of_signals_trade_alike(walk, tmp_path):
    rows = read(REAL) if walk is None else generate(walk, 800)
    path = REAL if walk is None else write(rows, tmp_path / "bars.csv")
    terms = {"window": 10, "target": 0.15, "loss": 0.1}
    ours = engine.run(
        tmp_path,
        path,
        Costs(),
        strategy={"class": "tests.independent.engine.NewHighs", **terms},
        risk_manager={"class": "RiskStub", "quantity": 100},
    )
    theirs = backtrader.run(rows, Costs(), engine.CASH, backtrader.NewHighs, quantity=100, **terms)
    assert differences(ours, theirs) == []
    assert len(ours.executions) > 40
