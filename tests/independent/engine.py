"""Runs of ADMF-Trader: a topology as a user writes it, launched, and read back from its message log."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from pathlib import Path
from typing import Any, ClassVar

import yaml

from bus.log_reader import LogReader
from bus.runtime.component import Component, Parameters, handles
from deploy.launcher import launch
from deploy.plan import Placement, make_plan
from schemas import (
    Bar,
    CancelOrder,
    Direction,
    EquityCurve,
    Fill,
    GroupType,
    Message,
    Order,
    OrderState,
    OrderStatus,
    OrderType,
    Signal,
    TimeInForce,
)
from schemas.codec import to_builtins
from tests.independent.bars import Row
from tests.independent.outcome import CANCELLED, EXPIRED, FILLED, WORKING, Costs, Execution, Outcome, Point
from tests.independent.rules import RULES, Cancel, Kind, Ticket
from tests.support.builders import DAY_NS

CASH = 1_000_000
_TYPES = {
    Kind.MARKET: OrderType.MARKET,
    Kind.LIMIT: OrderType.LIMIT,
    Kind.STOP: OrderType.STOP,
    Kind.STOP_LIMIT: OrderType.STOP_LIMIT,
}
_STATES = {
    OrderState.VALIDATED: WORKING,
    OrderState.ROUTED: WORKING,
    OrderState.FILLED: FILLED,
    OrderState.CANCELLED: CANCELLED,
    OrderState.EXPIRED: EXPIRED,
}


class RuleRisk(Component):
    """Gives the orders of a rule."""

    class Parameters(Parameters):
        rule: str

    component_type = "risk_manager"
    emits = (Order, CancelOrder)

    def reset(self) -> None:
        self.seen: dict[str, int] = {}

    @handles(Bar)
    def on_bar(self, bar: Bar) -> None:
        n = self.seen[bar.symbol] = self.seen.get(bar.symbol, 0) + 1
        row = Row(_day(bar.ts), bar.open, bar.high, bar.low, bar.close)
        for wanted in RULES[self.parameters.rule](bar.symbol, n, row):
            self.emit(CancelOrder(wanted.name, bar.ts) if isinstance(wanted, Cancel) else _order(wanted, bar.ts))


class NewHighs(Component):
    """Signals a bracketed BUY at a new high of the last `window` closes. Risk decides whether there is room for it."""

    class Parameters(Parameters):
        window: int
        target: float
        loss: float

    component_type = "strategy"
    emits: ClassVar = (Signal,)

    def reset(self) -> None:
        self.closes: dict[str, list[float]] = {}

    @handles(Bar)
    def on_bar(self, bar: Bar) -> None:
        closes = self.closes.setdefault(bar.symbol, [])
        closes.append(bar.close)
        if len(closes) > self.parameters.window and bar.close > max(closes[-1 - self.parameters.window : -1]):
            target, loss = (bar.close * share for share in (1 + self.parameters.target, 1 - self.parameters.loss))
            levels = {"target_price": round(target, 2), "stop_loss_price": round(loss, 2)}
            self.emit(Signal(bar.ts, bar.symbol, Direction.BUY, 1.0, bar.close, **levels))


def run(folder: Path, data: Path, costs: Costs, **components: dict[str, Any]) -> Outcome:
    """The backtest of these components on all symbols of a file, without a cap on volume, nothing closed at the end."""
    content = {
        "bus": {"run_dir": str(folder / "runs")},
        "backtest": {"initial_cash": CASH, "close_at_end": "none"},
        "components": {
            "data_handler": {"class": "HistoricalDataHandler", "path": str(data)},
            "broker": {
                "class": "SimulatedBroker",
                "max_volume_pct": None,
                "slippage": {"model": "fixed", "price_impact": costs.slippage},
                "slippage_within_bar": costs.within_bar,
                "commission": {"model": "percentage", "rate": costs.commission},
            },
            **components,
        },
    }
    path = folder / "topology.yaml"
    path.write_text(yaml.safe_dump(content))
    result = launch(make_plan(path, placement=Placement.LOCAL))
    assert result.status == "completed", result.error
    reader = LogReader(Path(result.run_dir))
    return _outcome(reader.message(record) for record in reader)


def run_rule(folder: Path, data: Path, costs: Costs, rule: str) -> Outcome:
    """The backtest of a rule."""
    return run(folder, data, costs, risk_manager={"class": "tests.independent.engine.RuleRisk", "rule": rule})


def _outcome(messages: Iterator[Message]) -> Outcome:
    outcome = Outcome()
    for message in messages:
        if isinstance(message, Fill):
            assert message.order_id not in outcome.executions, "nothing fills in parts"
            outcome.executions[message.order_id] = _execution(message)
        elif isinstance(message, OrderStatus):
            outcome.states[message.order_id] = message.state
        elif isinstance(message, EquityCurve):
            columns = to_builtins(message)
            outcome.curve += map(Point, map(_day, columns["ts"]), columns["cash"], columns["equity"])
    outcome.states = {name: _STATES[state] for name, state in outcome.states.items()}
    return outcome


def _execution(fill: Fill) -> Execution:
    side = fill.direction.sign
    return Execution(fill.symbol, _day(fill.bar_ts), side, fill.quantity, fill.price, fill.commission)


def _order(ticket: Ticket, ts: int) -> Order:
    group_type = GroupType.NONE
    if ticket.group:
        group_type = GroupType.BRACKET if ticket.parent else GroupType.OCO
    return Order(
        order_id=ticket.name,
        symbol=ticket.symbol,
        direction=Direction.BUY if ticket.side > 0 else Direction.SELL,
        quantity=float(ticket.quantity),
        order_type=_TYPES[ticket.kind],
        ts=ts,
        limit_price=ticket.limit,
        stop_price=ticket.stop,
        time_in_force=TimeInForce.GTD if ticket.days else TimeInForce.GTC,
        expire_ts=ts + ticket.days * DAY_NS if ticket.days else None,
        group_id=ticket.group,
        group_type=group_type,
        parent_id=ticket.parent,
    )


def _day(ts: int) -> dt.date:
    return dt.datetime.fromtimestamp(ts // 1_000_000_000, dt.UTC).date()
