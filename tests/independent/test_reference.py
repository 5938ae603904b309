"""The engine, through its whole chain of components, against a plain reference that shares no code with it."""

from __future__ import annotations

import dataclasses

import pytest

from tests.independent import engine, reference
from tests.independent.bars import REAL, generate, read, write
from tests.independent.outcome import FILLED, Costs, Outcome, differences
from tests.independent.rules import RULES

# Arithmetic of which hand-computed golden cases run on every Python; `tox -e independent` has these on one.
pytestmark = pytest.mark.one_python

COSTS = (Costs(), Costs(slippage=0.003), Costs(slippage=0.02, within_bar=True), Costs(commission=0.0))


@pytest.mark.parametrize("rule", RULES)
def test_on_real_data_every_fill_follows_from_the_rules(rule, tmp_path):
    costs = Costs(slippage=0.002, within_bar=True)
    ours = engine.run_rule(tmp_path, REAL, costs, rule)
    expected, _ = reference.run_rule(read(REAL), costs, engine.CASH, RULES[rule])
    assert differences(ours, expected) == []
    assert len(ours.executions) > 1_000


@pytest.mark.parametrize("walk", range(4))
@pytest.mark.parametrize("rule", RULES)
def test_on_generated_bars_every_fill_follows_from_the_rules(rule, walk, tmp_path):
    rows, costs = generate(walk), COSTS[walk]
    ours = engine.run_rule(tmp_path, write(rows, tmp_path / "bars.csv"), costs, rule)
    expected, _ = reference.run_rule(rows, costs, engine.CASH, RULES[rule])
    assert differences(ours, expected) == []
    assert len(ours.executions) > 100


def test_a_difference_does_not_stay_hidden():
    outcome, _ = reference.run_rule(generate(0, 50), Costs(), engine.CASH, RULES["market_entries"])
    name, execution = next(iter(outcome.executions.items()))
    others = [
        {"executions": {**outcome.executions, name: execution._replace(price=execution.price + 1e-5)}},
        {"executions": {**outcome.executions, name: execution._replace(day=outcome.end.day)}},
        {"states": {**outcome.states, "unknown": FILLED}},
        {"curve": [*outcome.curve[:-1], outcome.end._replace(cash=outcome.end.cash - 1e-5)]},
    ]
    found = [len(differences(outcome, dataclasses.replace(outcome, **other))) for other in others]
    assert found == [1, 1, 1, 1]
    assert len(differences(outcome, Outcome())) == 2 * len(outcome.states) + len(outcome.curve) - 2
