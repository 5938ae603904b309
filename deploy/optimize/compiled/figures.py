"""The results of a compiled run. Passes over the curve are compiled; what follows from them the coordinator says."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from components.coordinator.curve import Calendar, CurveAnalysis, Drawdown, Moments, Returns, Sum
from components.coordinator.statistics import (
    Convention,
    Statistics,
    account_analysis,
    curve_statistics,
    trade_analysis,
)
from deploy.optimize.compiled.jit import compiled
from deploy.optimize.compiled.state import Floats, Ints, Records, State
from schemas import AccountReport

_NS_PER_HOUR = 3_600_000_000_000


class Spread(NamedTuple):
    """Number, mean and sum of squared deviations of some values."""

    number: int
    mean: float
    squares: float


class Course(NamedTuple):
    """What a pass over an equity curve gives. `peak`, `trough` and `recovery` are points, -1 where there is none."""

    all: Spread
    negative: Spread
    losses: Spread
    positive: int
    largest: float
    depth: float
    peak: int
    trough: int
    recovery: int
    equity: float
    exposure: float
    solvent: int
    invested: int


@compiled
def course(equity: Floats, exposure: Floats) -> Course:
    """Returns, risk and the deepest fall of a curve; `equity` and `exposure` are sums in the result."""
    end = 1
    while end < len(equity) and equity[end - 1] > 0:
        end += 1
    returns = equity[1:end] / equity[: end - 1] - 1.0
    depth, peak, trough, recovery = _deepest_fall(equity)
    solvent = equity > 0
    return Course(
        _spread(returns),
        _spread(returns[returns < 0]),
        _spread(np.minimum(returns, 0.0)),
        int(np.count_nonzero(returns > 0)),
        np.max(np.abs(returns)) if len(returns) else 0.0,
        depth,
        peak,
        trough,
        recovery,
        _sum(equity),
        _sum(exposure[solvent] / equity[solvent]),
        int(np.count_nonzero(solvent)),
        int(np.count_nonzero(exposure > 0)),
    )


@compiled
def _spread(values: Floats) -> Spread:
    mean = _sum(values) / len(values) if len(values) else 0.0
    deviations = values - mean
    return Spread(len(values), mean, _sum(deviations * deviations))


@compiled
def _sum(values: Floats) -> float:
    """The exact sum, but for the last bit: the error of each addition is summed as well (Neumaier)."""
    total = 0.0
    lost = 0.0
    for value in values:
        new = total + value
        lost += (total - new) + value if abs(total) >= abs(value) else (value - new) + total
        total = new
    return total + lost


@compiled
def _deepest_fall(equity: Floats) -> tuple[float, int, int, int]:
    """Depth as a positive fraction of the peak; the points of peak, trough and recovery."""
    depth, high = 0.0, 0
    peak, trough, recovery = -1, -1, -1
    for point in range(len(equity)):
        if equity[point] >= equity[high]:
            high = point
        fall = 1.0 - equity[point] / equity[high] if equity[high] > 0 else 0.0
        if fall > depth:
            depth, peak, trough, recovery = fall, high, point, -1
        elif peak >= 0 and recovery < 0 and equity[point] >= equity[peak]:
            recovery = point
    return depth, peak, trough, recovery


def analysis_of(equity: Floats, exposure: Floats, ts: Ints) -> CurveAnalysis:
    """As `CurveAnalysis.add` gathers it, sooner."""
    path = course(equity, exposure)
    all_returns, negative, losses = (Moments(*spread) for spread in (path.all, path.negative, path.losses))
    peak, trough, recovery = (None if n < 0 else int(ts[n]) for n in (path.peak, path.trough, path.recovery))
    return CurveAnalysis(
        returns=Returns(all_returns, negative, losses, positive=path.positive, largest=path.largest),
        drawdown=Drawdown(path.depth, peak, trough, recovery),
        calendar=Calendar(last=int(ts[-1])),
        equity=Sum(len(equity), [path.equity]),
        exposure=Sum(path.solvent, [path.exposure]),
        points=len(equity),
        invested=path.invested,
        first=float(equity[0]),
        last=float(equity[-1]),
    )


def statistics_of(
    state: State, instruments: Records, ts: Ints, cash: float, per_year: float, convention: Convention
) -> Statistics:
    """Everything by name, as the coordinator reports it; `ts` are the times of the curve's points."""
    equity, exposure = (np.ascontiguousarray(state.curve[name]) for name in ("equity", "exposure"))
    if equity[0] != cash:
        # The account traded in its first timestamp: the first return is measured from the initial cash.
        ts, equity, exposure = (np.concatenate((a[:1], a)) for a in (ts, equity, exposure))
        equity[0], exposure[0] = cash, 0.0
    analysis = analysis_of(equity, exposure, ts)
    found: Statistics = {
        **curve_statistics(analysis, per_year, convention),
        **trade_analysis(*_trades(state)),
        **account_analysis(_report(state, instruments, int(ts[-1]), cash), analysis.equity.mean()),
    }
    return {name: None if isinstance(v, float) and not math.isfinite(v) else v for name, v in found.items()}


def counts_of(state: State, bars: int) -> dict[str, int]:
    """How much happened."""
    totals = state.totals[0]
    return {"bars": bars, **{name: int(totals[name]) for name in ("trades", "orders", "fills")}}


def _trades(state: State) -> tuple[list[float], list[float], list[float]]:
    """Profit, quantity and holding time in hours of every trade."""
    made = state.trades[: state.totals[0]["trades"]]
    held = made["exit_ts"] - made["entry_ts"]
    return made["pnl"].tolist(), made["quantity"].tolist(), [ns / _NS_PER_HOUR for ns in held.tolist()]


def _report(state: State, instruments: Records, ts: int, cash: float) -> AccountReport:
    totals = state.totals[0]
    return AccountReport(
        ts=ts,
        initial_cash=cash,
        final_cash=float(totals["cash"]),
        final_equity=float(state.curve["equity"][-1]),
        realised_pnl=float(totals["realised"]),
        unrealised_pnl=_unrealised(state, instruments),
        fees=float(totals["fees"]),
        slippage_cost=float(totals["slippage_cost"]),
        traded_value=float(totals["traded"]),
        fills=int(totals["fills"]),
        open_positions={},
    )


def _unrealised(state: State, instruments: Records) -> float:
    pnl = 0.0
    for symbol in state.books["open"][: state.totals[0]["open"]]:
        book, multiplier = state.books[symbol], instruments[symbol]["multiplier"]
        pnl += float((book["mark"] - book["average"]) * book["quantity"] * multiplier - book["entry_fees"])
    return pnl
