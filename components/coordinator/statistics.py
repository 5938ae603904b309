"""What a run's trades and equity curve say about it. Every definition, and where it comes from: docs/statistics.md.

Sums are exact (`math.fsum`), so that results do not depend on the order of summation or on the version of Python; the
built-in `sum` of floats does. Nothing here returns NaN or infinity: what has no value is None.
"""

from __future__ import annotations

import datetime as dt
import math
from collections import Counter
from collections.abc import Sequence
from itertools import pairwise
from typing import Literal

import numpy as np

from components.coordinator.curve import Calendar, CurveAnalysis, Drawdown, Returns
from components.coordinator.trades import TradeAnalysis
from schemas import AccountReport
from schemas.control import StatisticValue

Statistics = dict[str, StatisticValue]
Convention = Literal["specification", "sample"]

_NS_PER_DAY = 24 * 3_600_000_000_000
_EPOCH = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)
_THURSDAY = 3  # the weekday of day 0 of the epoch, Monday being 0
_SATURDAY = 5

_NO_SPREAD = 1e-12
"""A deviation below this part of the largest return is rounding, not risk."""

_ROUNDING = 1e-14
"""So is one below this: a return is a ratio near 1, whose last bit is 2.2e-16 however small the return is."""

_PER_YEAR_BY_SPACING = ((4, 252.0), (10, 52.0), (20, 26.0), (45, 12.0), (135, 4.0))
"""Longest usual spacing in days between points, and how many such points a year has."""


def trade_analysis(pnl: Sequence[float], quantities: Sequence[float], hours: Sequence[float]) -> Statistics:
    """Win rate, profit factor, and averages and extremes of wins, losses, holding times (hours) and sizes.

    `hours` has how long trades were held, of those of which it is known. Without trades every value is 0.0;
    `profit_factor` is None when nothing was lost.
    """
    analysis = TradeAnalysis()
    analysis.add(*(np.array(values, dtype=np.float64) for values in (pnl, quantities, hours)))
    return trade_statistics(analysis)


def trade_statistics(analysis: TradeAnalysis) -> Statistics:
    """The same of the trades that were analysed."""
    wins, losses = analysis.wins, analysis.losses
    return {
        "win_rate": wins.count / analysis.count if analysis.count else 0.0,
        "profit_factor": wins.total() / -losses.total() if losses.count else None,
        "avg_win": wins.mean(),
        "avg_loss": losses.mean(),
        "avg_holding_time": analysis.hours.mean(),
        "max_win": analysis.largest_win,
        "max_loss": analysis.largest_loss,
        "avg_trade_size": analysis.sizes.mean(),
    }


def equity_analysis(
    ts: Sequence[int],
    equity: Sequence[float],
    exposure: Sequence[float] = (),
    *,
    periods_per_year: float | None = None,
    convention: Convention = "specification",
) -> Statistics:
    """Return and risk of a whole equity curve; `exposure` is gross market value.

    `ts` is in ns UTC, ascending; it may be empty if `periods_per_year` is given, and then no dates are reported. Both
    are as long as `equity` otherwise. Fewer than two points are a return of zero without risk.
    """
    analysis = CurveAnalysis()
    times = np.array(ts if len(ts) else range(len(equity)), dtype=np.int64)
    values = np.array(equity, dtype=np.float64)
    analysis.add(times, values, np.array(exposure if len(exposure) else [0.0] * len(values), dtype=np.float64))
    statistics = curve_statistics(analysis, periods_per_year or points_per_year(ts), convention)
    return statistics if len(ts) else {**statistics, **dict.fromkeys(_DATES), "max_drawdown_days": 0.0}


_DATES = ("max_drawdown_peak", "max_drawdown_trough", "max_drawdown_recovery")


def curve_statistics(analysis: CurveAnalysis, per_year: float, convention: Convention) -> Statistics:
    """Return and risk of the curve that was analysed; `per_year` is how many points a year has."""
    returns, fall = analysis.returns, analysis.drawdown
    total = analysis.last / analysis.first - 1.0 if analysis.first > 0 else 0.0
    growth = annual_growth(total, returns.all.count / per_year)
    depth = fall.depth
    return {
        "total_return": total,
        "total_return_pct": 100.0 * total,
        "cagr": growth,
        **risk(returns, per_year, convention),
        "max_drawdown": depth,
        "max_drawdown_peak": _date(fall.peak),
        "max_drawdown_trough": _date(fall.trough),
        "max_drawdown_recovery": _date(fall.recovery),
        "max_drawdown_days": _days(fall, analysis.calendar.last),
        "profit_to_drawdown": abs(total / depth) if depth > 0 else 0.0,
        "calmar": growth / depth if growth is not None and depth > 0 else None,
        "winning_days": returns.positive / returns.all.count if returns.all.count else 0.0,
        "exposure": analysis.exposure.mean(),
        "time_in_market": analysis.invested / analysis.points if analysis.points else 0.0,
        "periods_per_year": per_year,
    }


def account_analysis(report: AccountReport, average: float) -> Statistics:
    """The account's totals; `turnover` is the traded value in multiples of the mean equity, None if that is not > 0."""
    return {
        "initial_cash": report.initial_cash,
        "final_equity": report.final_equity,
        "realised_pnl": report.realised_pnl,
        "unrealised_pnl": report.unrealised_pnl,
        "fees": report.fees,
        "slippage_cost": report.slippage_cost,
        "turnover": report.traded_value / average if average > 0 else None,
    }


def risk(returns: Returns, per_year: float, convention: Convention) -> Statistics:
    """Annualised volatility, and Sharpe and Sortino ratios without a risk-free rate; 0.0 where there is no risk.

    `specification`: population deviations, Sortino over the deviation of the negative returns from their own mean.
    `sample`: sample deviation, Sortino over the root mean square of the losses among all returns.
    """
    sample = convention == "sample"
    scale = math.sqrt(per_year)
    average = returns.all.mean
    spread = returns.all.deviation(ddof=1 if sample else 0)
    downside = returns.losses.root_mean_square() if sample else returns.negative.deviation()
    floor = max(_NO_SPREAD * returns.largest, _ROUNDING)
    return {
        "volatility": spread * scale,
        "sharpe_ratio": average / spread * scale if spread > floor else 0.0,
        "sortino_ratio": average / downside * scale if downside > floor else 0.0,
    }


def annual_growth(total: float, years: float) -> float | None:
    """The constant annual return that gives `total` over `years`.

    0.0 over no time, -1.0 when all is lost, None when it is too large for a number.
    """
    if years <= 0:
        return 0.0
    if total <= -1.0:
        return -1.0
    try:
        return float((1.0 + total) ** (1.0 / years) - 1.0)
    except OverflowError:
        return None


def points_per_year(ts: Sequence[int]) -> float:
    """As `frequency`, of all times (ns UTC, ascending) at once."""
    calendar = Calendar()
    if len(ts):
        calendar.add(np.array(ts, dtype=np.int64))
    return frequency(calendar)


def frequency(calendar: Calendar) -> float:
    """How many points a year has at the curve's own frequency.

    252 for daily points, 365 if there are Saturdays among them; 52, 26, 12, 4 and 1 for longer spacings; several points
    a day count as often as there are on an average day. 252 for fewer than two days.
    """
    days = sorted(calendar.days)
    spacings = Counter(after - before for before, after in pairwise(days))
    spacing = min(spacings, key=lambda s: (-spacings[s], s), default=1)
    per_day = (1 + calendar.changes) / len(days) if days else 1.0
    yearly = next((count for longest, count in _PER_YEAR_BY_SPACING if spacing <= longest), 1.0)
    if yearly == 252.0 and any((day + _THURSDAY) % 7 == _SATURDAY for day in days):
        yearly = 365.0
    return yearly * per_day if per_day >= 1.5 else yearly


def _date(ts: int | None) -> str | None:
    return None if ts is None else (_EPOCH + dt.timedelta(microseconds=ts // 1000)).isoformat()


def _days(fall: Drawdown, last: int | None) -> float:
    end = last if fall.recovery is None else fall.recovery
    return 0.0 if fall.peak is None or end is None else (end - fall.peak) / _NS_PER_DAY
