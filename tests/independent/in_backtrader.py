"""The same strategies in backtrader. Importing this module needs it; see docs/independent-checks.md."""

from __future__ import annotations

import datetime as dt
import warnings
from typing import ClassVar

from tests.independent.bars import Row, Rows
from tests.independent.outcome import CANCELLED, EXPIRED, FILLED, WORKING, Costs, Execution, Outcome, Point
from tests.independent.rules import Cancel, Kind, Rule, Ticket

with warnings.catch_warnings():
    warnings.filterwarnings("ignore", message="invalid escape sequence")  # in its docstrings, told by new Pythons
    import backtrader as bt

_TYPES = {
    Kind.MARKET: bt.Order.Market,
    Kind.LIMIT: bt.Order.Limit,
    Kind.STOP: bt.Order.Stop,
    Kind.STOP_LIMIT: bt.Order.StopLimit,
}
_STATES = {
    bt.Order.Submitted: WORKING,
    bt.Order.Accepted: WORKING,
    bt.Order.Completed: FILLED,
    bt.Order.Canceled: CANCELLED,
    bt.Order.Expired: EXPIRED,
}


class Feed(bt.feed.DataBase):
    """Rows as a data feed; a day's bar is stamped at midnight, as in the file."""

    params: ClassVar = (("rows", ()),)

    def start(self) -> None:
        super().start()
        self._rest = iter(self.p.rows)

    def _load(self) -> bool:
        row = next(self._rest, None)
        if row is None:
            return False
        self.lines.datetime[0] = bt.date2num(dt.datetime.combine(row.day, dt.time()))
        self.lines.open[0], self.lines.high[0], self.lines.low[0], self.lines.close[0] = row[1:]
        return True


class Curve(bt.Analyzer):
    """The account at the end of each bar."""

    def start(self) -> None:
        self.points: list[Point] = []

    def next(self) -> None:
        broker = self.strategy.broker
        self.points.append(Point(self.strategy.datetime.date(0), broker.getcash(), broker.getvalue()))


class Follow(bt.Strategy):
    """Gives the orders of a rule."""

    params: ClassVar = (("rule", None),)

    def __init__(self) -> None:
        self.placed: dict[str, bt.Order] = {}
        self.first_of: dict[str, bt.Order] = {}

    def next(self) -> None:
        for data in self.datas:
            row = Row(data.datetime.date(0), data.open[0], data.high[0], data.low[0], data.close[0])
            self._do(data, list(self.p.rule(data._name, len(data), row)))

    def _do(self, data: bt.feed.DataBase, wanted: list[Ticket | Cancel]) -> None:
        tickets = [one for one in wanted if isinstance(one, Ticket)]
        for n, ticket in enumerate(tickets):
            # backtrader keeps a bracket back until the last order of it is given.
            complete = not any(_family(later) == _family(ticket) for later in tickets[n + 1 :] if later.parent)
            self.placed[ticket.name] = self._place(data, ticket, complete)
        for one in wanted:
            if isinstance(one, Cancel) and one.name in self.placed:
                self.cancel(self.placed[one.name])

    def _place(self, data: bt.feed.DataBase, ticket: Ticket, transmit: bool) -> bt.Order:
        give = self.buy if ticket.side > 0 else self.sell
        order = give(
            data=data,
            size=ticket.quantity,
            exectype=_TYPES[ticket.kind],
            price=ticket.limit if ticket.stop is None else ticket.stop,
            plimit=ticket.limit if ticket.kind is Kind.STOP_LIMIT else None,
            valid=data.datetime.datetime(0) + dt.timedelta(days=ticket.days) if ticket.days else None,
            oco=None if ticket.parent else self.first_of.get(ticket.group),
            parent=self.placed.get(ticket.parent),
            transmit=transmit,
        )
        if ticket.group and not ticket.parent:
            self.first_of.setdefault(ticket.group, order)
        return order


class Crossover(bt.Strategy):
    """Long above the slow average, flat or short below it; numbers its orders as RiskStub does."""

    params: ClassVar = (("fast", 0), ("slow", 0), ("quantity", 0), ("short", False))

    def __init__(self) -> None:
        self.placed: dict[str, bt.Order] = {}
        sma = bt.indicators.SimpleMovingAverage
        self.crosses = [
            bt.indicators.CrossOver(sma(data, period=self.p.fast), sma(data, period=self.p.slow)) for data in self.datas
        ]

    def next(self) -> None:
        for data, cross in zip(self.datas, self.crosses, strict=True):
            if cross[0]:
                below = -self.p.quantity if self.p.short else 0
                order = self.order_target_size(data, self.p.quantity if cross[0] > 0 else below)
                if order is not None:
                    self.placed[f"risk_manager-{len(self.placed) + 1}"] = order


class NewHighs(bt.Strategy):
    """When flat, a bracketed market order at a new high of the last `window` closes."""

    params: ClassVar = (("window", 0), ("target", 0.0), ("loss", 0.0), ("quantity", 0))

    def __init__(self) -> None:
        self.placed: dict[str, bt.Order] = {}
        self.highest = [bt.indicators.Highest(data.close, period=self.p.window) for data in self.datas]

    def next(self) -> None:
        for data, highest in zip(self.datas, self.highest, strict=True):
            if len(data) > self.p.window and data.close[0] > highest[-1] and not self.getposition(data).size:
                self._buy(data, data.close[0])

    def _buy(self, data: bt.feed.DataBase, close: float) -> None:
        entry, stop, target = self.buy_bracket(
            data=data,
            size=self.p.quantity,
            exectype=bt.Order.Market,
            limitprice=round(close * (1 + self.p.target), 2),
            stopprice=round(close * (1 - self.p.loss), 2),
        )
        for order in (entry, target, stop):
            self.placed[f"risk_manager-{len(self.placed) + 1}"] = order


def run(rows: Rows, costs: Costs, cash: float, strategy: type[bt.Strategy], **parameters: object) -> Outcome:
    """The backtest of a strategy on all symbols."""
    cerebro = bt.Cerebro(stdstats=False)
    for symbol, days in sorted(rows.items()):
        cerebro.adddata(Feed(rows=days), name=symbol)
    cerebro.broker.setcash(cash)
    cerebro.broker.setcommission(commission=costs.commission)
    if costs.slippage:
        cerebro.broker.set_slippage_perc(costs.slippage, slip_open=True, slip_out=not costs.within_bar)
    cerebro.addanalyzer(Curve, _name="curve")
    cerebro.addstrategy(strategy, **parameters)
    (done,) = cerebro.run()
    states = {name: _STATES[order.status] for name, order in done.placed.items()}
    executions = {name: _execution(done.placed[name]) for name in states if states[name] == FILLED}
    return Outcome(executions, states, done.analyzers.curve.points)


def run_rule(rows: Rows, costs: Costs, cash: float, rule: Rule) -> Outcome:
    """The backtest of a rule."""
    return run(rows, costs, cash, Follow, rule=rule)


def _execution(order: bt.Order) -> Execution:
    done = order.executed
    side = 1 if order.isbuy() else -1
    return Execution(order.data._name, bt.num2date(done.dt).date(), side, float(abs(done.size)), done.price, done.comm)


def _family(ticket: Ticket) -> str:
    return ticket.parent or ticket.name
