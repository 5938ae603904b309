"""The event-driven engine on bars in memory, and the compiled loop on the same: what each fills and reports."""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest

from deploy.optimize.compiled.program import Execution, market_of, program_of
from deploy.optimize.compiled.refusals import refusals
from deploy.plan import Plan, plan_of
from schemas import Bar, CloseRule, Drained, EndOfStream, Fill, RunCompleted, RunStarted, StreamEnding
from tests.support.bench import Bench
from tests.support.launching import ROOT

DATA = {"class": "HistoricalDataHandler", "path": str(ROOT / "configs" / "data" / "daily.csv")}


class Result(NamedTuple):
    """Fills in order, and everything that is reported at the end."""

    fills: list[Execution]
    statistics: dict[str, Any]


def plan_for(components: dict[str, Any], backtest: dict[str, Any] | None = None) -> Plan:
    """A plan of components, without data of its own."""
    content = {"backtest": backtest or {}, "components": {"data_handler": DATA, **components}}
    plan = plan_of(content, Path(__file__))
    assert refusals(plan) == []
    return plan


def event_driven(plan: Plan, bars: list[Bar]) -> Result:
    """Every component, message by message."""
    parts = [entry.component for entry in plan.entries if entry.component.component_type != "data_handler"]
    bench = Bench(*parts, context=plan.context)
    (source,) = plan.context.sources
    last = bars[-1].ts
    bench.publish(RunStarted("{}", "", "", ""), ts=bars[0].ts)
    told = plan.context.run.close_at_end is not CloseRule.NEXT_OPEN
    for bar in bars:
        if bar.ts == last and not told:
            told = True
            bench.publish(StreamEnding(source, last))
        bench.publish(bar)
    bench.publish(EndOfStream(source, len(bars)), ts=last)
    for number in (1, 2):
        bench.publish(Drained(number), ts=last)
    (completed,) = bench.of(RunCompleted)
    fills = [Execution(f.ts, f.symbol, f.direction.sign * f.quantity, f.price, f.commission) for f in bench.of(Fill)]
    counts = {key: completed.counts[key] for key in ("trades", "bars", "orders", "fills")}
    return Result(fills, {**counts, **completed.statistics})


def compiled(plan: Plan, bars: list[Bar]) -> Result:
    """The loop."""
    symbols = tuple(sorted({bar.symbol for bar in bars}))
    columns = list(zip(*((b.open, b.high, b.low, b.close, b.volume) for b in bars), strict=True))
    ts = np.array([bar.ts for bar in bars])
    program = program_of(plan, market_of(symbols, ts, [symbols.index(bar.symbol) for bar in bars], columns))
    made = program.run()
    return Result(program.executions(made), program.statistics(made, "specification"))


def assert_same(found: dict[str, Any], expected: dict[str, Any]) -> None:
    """Money bit for bit; ratios but for the last bits of their sums, which are exact there and nearly so here."""
    exact = ("trades", "bars", "orders", "fills", "final_equity", "total_return", "realised_pnl", "fees")
    exact += ("slippage_cost", "unrealised_pnl", "max_drawdown", "max_drawdown_peak", "max_drawdown_recovery")
    assert {key: found[key] for key in exact} == {key: expected[key] for key in exact}
    assert set(found) == set(expected)
    assert {key: found[key] for key in found} == {
        key: value
        if isinstance(value, str)
        else pytest.approx(value, rel=1e-9, abs=1e-12)
        if value is not None
        else None
        for key, value in expected.items()
    }
