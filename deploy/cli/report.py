"""The result of a run as a trader reads it."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Callable
from pathlib import Path

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from deploy.launcher import RunResult
from deploy.plan import Plan
from deploy.run_folder import COMPLETED

Value = float | int | str | None


def print_report(result: RunResult, plan: Plan) -> None:
    """The table of results, where the run's folder is, and what to try next."""
    console = Console(highlight=False)
    if result.status == COMPLETED:
        console.print(results_table(result, plan))
        console.print(f"Run folder  {escape(result.run_dir)}  ({', '.join(result.tables)})", soft_wrap=True)
        console.print(f"Digest      {result.digest or 'not computed (capture none)'}", soft_wrap=True)
        console.print(_next_step(result, plan), soft_wrap=True, style="dim")


def results_table(result: RunResult, plan: Plan) -> Table:
    """Return, risk, trades and costs."""
    table = Table(title=f"{plan.topology.system.name}: {plan.path.name}", show_header=False, title_justify="left")
    table.add_column("name")
    table.add_column("value", justify="right")
    currency = plan.context.run.currency
    table.add_row("Trades", f"{len(result.trades):,}")
    for label, key, form in _ROWS:
        if key in result.statistics:
            table.add_row(label, form(result.statistics[key], currency))
    if "ambiguous_orders" in result.statistics:
        table.add_row("Depends on the path inside bars", _ambiguity(result.statistics, currency))
    counts = result.counts
    table.add_row("Bars / orders / fills", " / ".join(f"{counts.get(name, 0):,}" for name in ("Bar", "Order", "Fill")))
    rate = counts.get("Bar", 0) / result.elapsed_s if result.elapsed_s else 0.0
    if result.ended_by:
        table.add_row("Ended by", result.ended_by)
    table.add_row("Time", f"{result.elapsed_s:.2f} s ({rate:,.0f} bars/s, {result.placement})")
    return table


def _money(value: Value, currency: str) -> str:
    return "-" if value is None else f"{value:,.2f} {currency}"


def _percent(value: Value, _currency: str) -> str:
    return "-" if value is None else f"{float(value) * 100:,.2f} %"


def _ready_percent(value: Value, _currency: str) -> str:
    return "-" if value is None else f"{float(value):,.2f} %"


def _number(value: Value, _currency: str) -> str:
    return "-" if value is None else f"{value:,.2f}"


_ROWS: tuple[tuple[str, str, Callable[[Value, str], str]], ...] = (
    ("Initial cash", "initial_cash", _money),
    ("Final equity", "final_equity", _money),
    ("Total return", "total_return_pct", _ready_percent),
    ("Return per year (CAGR)", "cagr", _percent),
    ("Volatility per year", "volatility", _percent),
    ("Maximum drawdown", "max_drawdown", _percent),
    ("Sharpe ratio", "sharpe_ratio", _number),
    ("Sortino ratio", "sortino_ratio", _number),
    ("Calmar ratio", "calmar", _number),
    ("Winning trades", "win_rate", _percent),
    ("Profit factor", "profit_factor", _number),
    ("Time in the market", "exposure", _percent),
    ("Fees", "fees", _money),
    ("Slippage cost", "slippage_cost", _money),
)


def _ambiguity(statistics: dict[str, Value], currency: str) -> str:
    better, worse = (float(statistics[key] or 0) for key in ("ambiguity_better", "ambiguity_worse"))
    return f"{statistics['ambiguous_orders']:,} orders, {worse:+,.2f} to {better:+,.2f} {currency}"


def _next_step(result: RunResult, plan: Plan) -> str:
    if plan.is_live and plan.topology.bus.capture == "full":
        return f"Next: execute its log again and compare: {_program()} replay {result.run_dir}"
    if result.placement != "processes":
        return f"Next: the same run, each component a process: {_program()} launch {plan.path} --placement processes"
    return f"Next: look at what was said: {_program()} log cat {result.run_dir} --type Fill"


def _program() -> str:
    """How the user can call us again: by name where that finds us, else by the path that was used."""
    path = Path(sys.argv[0])
    if path.name != "admf" or shutil.which("admf") == str(path.resolve()):
        return "admf"
    return os.path.relpath(path)
