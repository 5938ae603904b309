"""Where backtrader's rules are others than ours on purpose: what both do follows from the rules of each."""

from __future__ import annotations

import pytest

from tests.independent import engine, reference
from tests.independent.bars import REAL, generate, read, write
from tests.independent.outcome import Costs, changed, differences
from tests.independent.peer import import_backtrader_side
from tests.independent.rules import BUY, RULES, Kind, Ticket

backtrader = import_backtrader_side()

DIFFERING = {
    "stop_limits_inside": (0, 453),
    "narrow_brackets": (175, 170),
    "straddles": (250, 256),
}
"""On real data, by rule: how often a bar reaches two orders that exclude each other, and how many fill otherwise.

docs/independent-checks.md has the numbers too.
"""


@pytest.mark.parametrize("rule", DIFFERING)
def test_on_real_data_the_documented_rules_explain_every_difference(rule, tmp_path):
    rows = read(REAL)
    ours, theirs, conflicts = _both(rows, REAL, tmp_path, rule)
    assert (conflicts, len(changed(ours, theirs))) == DIFFERING[rule]


@pytest.mark.parametrize("walk", range(4))
@pytest.mark.parametrize("rule", DIFFERING)
def test_on_generated_bars_the_documented_rules_explain_every_difference(rule, walk, tmp_path):
    rows = generate(walk)
    ours, theirs, _ = _both(rows, write(rows, tmp_path / "bars.csv"), tmp_path, rule)
    assert changed(ours, theirs)


def test_a_limit_that_fills_at_the_open_slips_there_always_and_here_only_when_it_takes(tmp_path):
    costs = Costs(slippage=0.002, within_bar=True)
    rows, rule = read(REAL), RULES["resting_limits"]
    ours = engine.run_rule(tmp_path, REAL, costs, "resting_limits")
    theirs = backtrader.run_rule(rows, costs, engine.CASH, rule)
    assert ours.states == theirs.states
    assert differences(ours, reference.run_rule(rows, costs, engine.CASH, rule)[0]) == []
    bars = {(symbol, bar.day): bar for symbol in rows for bar in rows[symbol]}
    tickets = {
        one.name: one
        for symbol in rows
        for n, bar in enumerate(rows[symbol], 1)
        for one in rule(symbol, n, bar)
        if isinstance(one, Ticket)
    }
    for name, execution in theirs.executions.items():
        expected = _limit_in_backtrader(tickets[name], bars[execution.symbol, execution.day], costs.slippage)
        assert execution.price == pytest.approx(expected, abs=1e-9)
    outside = [e for e in theirs.executions.values() if e.price < bars[e.symbol, e.day].low - 1e-9]
    assert (len(changed(ours, theirs)), len(outside)) == (164, 88)


def _both(rows, path, folder, rule):
    """Both runs, each checked against the reference with its own rules, and the conflicts that the reference met."""
    ours = engine.run_rule(folder, path, Costs(), rule)
    theirs = backtrader.run_rule(rows, Costs(), engine.CASH, RULES[rule])
    expected_here, conflicts = reference.run_rule(rows, Costs(), engine.CASH, RULES[rule], reference.OURS)
    expected_there, _ = reference.run_rule(rows, Costs(), engine.CASH, RULES[rule], reference.BACKTRADERS)
    assert differences(ours, expected_here) == []
    assert differences(theirs, expected_there) == []
    return ours, theirs, conflicts


def _limit_in_backtrader(ticket, bar, slippage):
    assert ticket.kind is Kind.LIMIT
    if ticket.side == BUY:
        return min(bar.open * (1 + slippage), bar.high, ticket.limit) if bar.open <= ticket.limit else ticket.limit
    return max(bar.open * (1 - slippage), ticket.limit) if bar.open >= ticket.limit else ticket.limit
