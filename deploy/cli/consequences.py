"""The consequences of a replaced part, as a trader reads them."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from deploy.cli.check import WIDTH_WHEN_PIPED
from deploy.log_tools import format_time
from deploy.replay.consequences import Consequences, Fate, OrderChange, OrderOutcome

_SHOWN = 40
_FIRST = ("final_equity", "total_return_pct", "max_drawdown", "sharpe_ratio", "fees", "slippage_cost")
_MARKS = {Fate.ADDED: "green", Fate.MISSING: "red", Fate.CHANGED: "yellow", Fate.SAME: "dim"}


def print_consequences(consequences: Consequences, changed: list[str], all_orders: bool) -> None:
    """What was replaced, each order that came out otherwise, and the results side by side."""
    console = Console(highlight=False, width=None if sys.stdout.isatty() else WIDTH_WHEN_PIPED)
    for line in changed:
        console.print(f"Replaced  {escape(line)}", soft_wrap=True)
    counts = consequences.counts
    console.print(
        f"Orders    {sum(counts.values()):,}: {counts[Fate.SAME]:,} the same, {counts[Fate.CHANGED]:,} changed, "
        f"{counts[Fate.ADDED]:,} added, {counts[Fate.MISSING]:,} missing"
    )
    wanted = [change for change in consequences.changes if change.fate is not Fate.SAME]
    shown = wanted if all_orders else wanted[:_SHOWN]
    if shown:
        console.print(_orders_table(shown))
    if len(shown) < len(wanted):
        console.print(f"and {len(wanted) - len(shown):,} more; --all shows them", style="dim")
    console.print(_results_table(consequences))
    console.print(f"Run folder  {escape(str(consequences.after.path))}", soft_wrap=True)


def _orders_table(changes: list[OrderChange]) -> Table:
    """An order a row; where it came out otherwise, as captured above and with the replacement below."""
    table = Table(title="Orders: as captured, and below with the replacement", title_justify="left", box=SIMPLE_HEAD)
    for name in ("", "time", "order", "what"):
        table.add_column(name, no_wrap=True)
    for name in ("quantity", "price", "fees", "effect"):
        table.add_column(name, justify="right", no_wrap=True)
    for change in changes:
        order = change.before or change.after
        assert order is not None
        table.add_row(
            f"[{_MARKS[change.fate]}]{change.fate}[/]",
            format_time(order.ts).removesuffix("T00:00:00Z"),
            _both(change, lambda o: escape(o.order_id)),
            _both(change, _what),
            _both(change, lambda o: f"{o.quantity:,g}"),
            _both(change, lambda o: "-" if o.price is None else f"{o.price:,.4f}"),
            _both(change, lambda o: f"{o.fees:,.2f}"),
            f"{change.effect:+,.2f}",
        )
    return table


def _both(change: OrderChange, text: Callable[[OrderOutcome], str]) -> str:
    return "\n".join(dict.fromkeys(text(order) for order in (change.before, change.after) if order is not None))


def _what(order: OrderOutcome) -> str:
    """Side, symbol, type, and how it ended unless it simply filled."""
    end = "" if order.state == "FILLED" else f" {order.state}"
    return escape(f"{order.direction} {order.symbol} {order.order_type}{end}")


def _results_table(consequences: Consequences) -> Table:
    table = Table(title="Results", title_justify="left", box=SIMPLE_HEAD)
    table.add_column("")
    for name in ("captured", "with the replacement", "difference"):
        table.add_column(name, justify="right")
    statistics = consequences.statistics
    for name in [*(n for n in _FIRST if n in statistics), *(n for n in statistics if n not in _FIRST)]:
        before, after = statistics[name]
        if before != after or name in _FIRST:
            table.add_row(name, _number(before), _number(after), _difference(before, after))
    table.add_row("orders", *_counted(len(consequences.before.orders), len(consequences.after.orders)))
    table.add_row("fills", *_counted(consequences.before.fills, consequences.after.fills))
    return table


def _counted(before: int, after: int) -> tuple[str, str, str]:
    return f"{before:,}", f"{after:,}", f"{after - before:+,}"


def _number(value: Any) -> str:
    return f"{value:,.4f}" if isinstance(value, float) else "-" if value is None else str(value)


def _difference(before: Any, after: Any) -> str:
    both = isinstance(before, int | float) and isinstance(after, int | float)
    return f"{after - before:+,.4f}" if both else ""
