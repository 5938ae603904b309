"""From a plan to the arrays and numbers of a compiled run, and back to fills and statistics."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np

from bus.errors import AdmfError
from bus.runtime.settings import RunSettings
from components.broker.simulated import SimulatedBrokerParameters
from components.coordinator.statistics import Statistics, points_per_year
from components.models.commission import (
    CommissionModel,
    FixedCommissionModel,
    PercentageCommissionModel,
    PerShareCommissionModel,
    make_commission,
)
from components.models.slippage import (
    FixedSlippageModel,
    PercentageSlippageModel,
    SlippageModel,
    VolumeBasedSlippageModel,
    make_slippage,
)
from components.risk.sizing import RiskStubParameters
from components.strategy.array_strategy import Bars
from deploy.optimize.compiled import loop
from deploy.optimize.compiled import state as kinds
from deploy.optimize.compiled.directions import directions
from deploy.optimize.compiled.figures import counts_of, statistics_of
from deploy.optimize.compiled.rounding import EXACT
from deploy.optimize.compiled.state import Ints, Records, Rules, State
from deploy.plan import Plan
from schemas import CloseRule

_CLOSE_RULES = {
    CloseRule.NONE: kinds.KEEP,
    CloseRule.LAST_CLOSE: kinds.AT_LAST_CLOSE,
    CloseRule.NEXT_OPEN: kinds.AT_NEXT_OPEN,
}
_LOWEST_PRICE = 1e-12


class Execution(NamedTuple):
    """A fill; `quantity` is negative for a sale."""

    ts: int
    symbol: str
    quantity: float
    price: float
    commission: float


@dataclass(frozen=True)
class Market:
    """The bars of a run, as one tape and symbol by symbol. Made once for all trials over the same days."""

    symbols: tuple[str, ...]
    tape: Records
    rows: tuple[Ints, ...] = field(repr=False)
    bars: tuple[Bars, ...] = field(repr=False)

    @cached_property
    def times(self) -> Ints:
        """The times of the points of the equity curve."""
        return np.unique(self.tape["ts"])

    @cached_property
    def per_year(self) -> float:
        """How many points a year has."""
        return points_per_year(self.times.tolist())

    @cached_property
    def closes_together(self) -> bool:
        """Whether every symbol has a bar at the last timestamp but one, so that cancels reach all at once."""
        times = self.times
        return len(times) < 2 or bool(np.count_nonzero(self.tape["ts"] == times[-2]) == len(self.symbols))


def market_of(symbols: tuple[str, ...], ts: Ints, code: Any, values: Any) -> Market:
    """The market of bars in order of (time, symbol); `values` are open, high, low, close and volume.

    Raises:
        AdmfError: there are no bars, or a price is too small.
    """
    if not len(ts):
        raise AdmfError("there are no bars")
    columns = [np.asarray(column, np.float64) for column in values]
    tape = np.empty(len(ts), kinds.TAPE)
    for name, column in zip(kinds.TAPE.names or (), (*columns, ts, code), strict=True):
        tape[name] = column
    lowest = min(float(np.abs(column[column != 0]).min(initial=1.0)) for column in columns[:4])
    if lowest < _LOWEST_PRICE:
        raise AdmfError(
            f"a price of {lowest:g} is too small for a compiled run, whose prices are above {_LOWEST_PRICE:g}"
        )
    rows = tuple(np.flatnonzero(tape["code"] == symbol) for symbol in range(len(symbols)))
    bars = tuple(Bars(*(column[r] for column in (tape["ts"], *columns))) for r in rows)
    return Market(symbols, tape, rows, bars)


@dataclass(frozen=True)
class Program:
    """A run, ready to go."""

    run_settings: RunSettings
    rules: Rules
    instruments: Records
    market: Market
    direction: Ints

    def run(self) -> State:
        """Run it. Changes nothing here, so that it may run again.

        Raises:
            AdmfError: quantities are too large to be whole numbers of lots.
        """
        symbols = len(self.market.symbols)
        orders = int(np.count_nonzero(np.diff(self.direction, prepend=0))) + int(symbols > 1) * len(self.direction)
        orders += 2 * symbols
        fills = 2 * orders
        while True:
            made = kinds.new_state(symbols, orders, fills, len(self.market.times), self.rules.cash)
            loop.run(self.rules, self.instruments, self.market.tape, self.direction, made)
            if made.totals[0]["too_many_lots"]:
                raise AdmfError("an order of more than 2**53 steps of its lot size; compiled runs count below that")
            if made.totals[0]["fills"] <= fills:
                return made
            fills = int(made.totals[0]["fills"])

    def executions(self, made: State) -> list[Execution]:
        """Its fills in order."""
        rows = made.fills[: made.totals[0]["fills"]].tolist()
        symbols = self.market.symbols
        return [Execution(ts, symbols[symbol], *rest) for *rest, ts, symbol, _order in rows]

    def statistics(self, made: State, convention: Any) -> Statistics:
        """What the coordinator would report, with the counts."""
        per_year = self.run_settings.periods_per_year or self.market.per_year
        statistics = statistics_of(made, self.instruments, self.market.times, self.rules.cash, per_year, convention)
        return {**counts_of(made, len(self.market.tape)), **statistics}


def program_of(plan: Plan, market: Market) -> Program:
    """What a plan does on a market. The plan is one that `refusals` has nothing against.

    Raises:
        AdmfError: the strategy's rule is not as it should be, or the data do not fit.
    """
    by_type: Mapping[str, Any] = {entry.component.component_type: entry.component for entry in plan.entries}
    run = plan.context.run
    rules = rules_of(run, by_type["risk_manager"].parameters, by_type["broker"].parameters)
    if rules.close_at_end == kinds.AT_NEXT_OPEN and not market.closes_together:
        raise AdmfError(
            "backtest.close_at_end: next_open needs, in a compiled run, bars of every symbol at the last time but one"
        )
    return Program(run, rules, instruments_of(run, market), market, _all_directions(by_type["strategy"], market))


def _all_directions(strategy: Any, market: Market) -> Ints:
    wanted = frozenset(strategy.parameters.symbols) or frozenset(market.symbols)
    found = np.zeros(len(market.tape), np.int64)
    for symbol, rows, bars in zip(market.symbols, market.rows, market.bars, strict=True):
        if symbol in wanted:
            found[rows] = directions(strategy, bars)
    return found


def rules_of(run: RunSettings, risk: RiskStubParameters, broker: SimulatedBrokerParameters) -> Rules:
    """The numbers of a configuration."""
    commission = make_commission(broker.commission)
    return Rules(
        float(run.initial_cash),
        _CLOSE_RULES[run.close_at_end],
        float(risk.quantity),
        float(risk.percent_of_equity or 0.0),
        risk.allow_short,
        kinds.FILL_PRICES[broker.fill_price],
        float(np.inf if broker.max_volume_pct is None else broker.max_volume_pct),
        *_slippage(make_slippage(broker.slippage)),
        broker.slippage_within_bar,
        *_commission(commission),
        float(commission.minimum),
        float(np.inf if commission.maximum is None else commission.maximum),
        float(np.inf if commission.maximum_pct is None else commission.maximum_pct),
    )


def _slippage(model: SlippageModel) -> tuple[int, float, float, float]:
    if isinstance(model, FixedSlippageModel):
        return kinds.FIXED_SLIPPAGE, float(model.price_impact), 0.0, 0.0
    if isinstance(model, PercentageSlippageModel):
        return kinds.PERCENTAGE_SLIPPAGE, float(model.base_pct), float(model.size_impact), float(model.max_pct)
    if isinstance(model, VolumeBasedSlippageModel):
        return kinds.VOLUME_SLIPPAGE, float(model.price_impact), float(model.volume_limit), 0.0
    return kinds.NO_SLIPPAGE, 0.0, 0.0, 0.0


def _commission(model: CommissionModel) -> tuple[int, float]:
    if isinstance(model, FixedCommissionModel):
        return kinds.PER_ORDER, float(model.cost_per_trade)
    if isinstance(model, PercentageCommissionModel):
        return kinds.PERCENTAGE, float(model.rate)
    if isinstance(model, PerShareCommissionModel):
        return kinds.PER_SHARE, float(model.rate)
    return kinds.NO_COMMISSION, 0.0


def instruments_of(run: RunSettings, market: Market) -> Records:
    """What the symbols trade in.

    Raises:
        AdmfError: a tick is so small beside the prices that they are no whole number of it.
    """
    declared = [run.instrument(symbol) for symbol in market.symbols]
    ticks = [_decimal(one.tick_size) for one in declared]
    lots = [_decimal(one.lot_size) for one in declared]
    for one, (units, _), bars in zip(declared, ticks, market.bars, strict=True):
        if one.tick_size and not 2.0 * float(np.abs(bars.high).max()) / one.tick_size * units < EXACT:
            raise AdmfError(
                f"backtest.instruments.{one.symbol}.tick_size: {one.tick_size} is too small beside its prices"
            )
    rows = [
        (one.tick_size, *tick, one.lot_size, *lot, one.min_quantity, one.max_quantity, one.multiplier)
        for one, tick, lot in zip(declared, ticks, lots, strict=True)
    ]
    return np.array(rows, kinds.INSTRUMENT)


def _decimal(step: float) -> tuple[float, float]:
    """`units` and `scale` with step = units / scale, exactly as it is written."""
    _, digits, exponent = Decimal(repr(step)).as_tuple()
    units = int("".join(map(str, digits)))
    power = int(exponent)
    return (float(units), float(10**-power)) if power < 0 else (float(units * 10**power), 1.0)
