"""What a run's trades and equity curve say about it. Every definition, and where it comes from: docs/statistics.md.

Sums are exact (`math.fsum`), so that results do not depend on the order of summation or on the version of Python; the
built-in `sum` of floats does. Nothing here returns NaN or infinity: what has no value is None.
"""

from __future__ import annotations

import datetime as dt
import math
from collections import Counter
from collections.abc import Iterable, Sequence
from itertools import accumulate, pairwise
from typing import Literal, NamedTuple

from schemas import AccountReport, ClosedTrade
from schemas.control import StatisticValue

Statistics = dict[str, StatisticValue]
Convention = Literal["specification", "sample"]

_NS_PER_HOUR = 3_600_000_000_000
_NS_PER_DAY = 24 * _NS_PER_HOUR
_EPOCH = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)
_THURSDAY = 3  # the weekday of day 0 of the epoch, Monday being 0
_SATURDAY = 5

_NO_SPREAD = 1e-12
"""A deviation below this part of the largest return is rounding, not risk."""

_ROUNDING = 1e-14
"""So is one below this: a return is a ratio near 1, whose last bit is 2.2e-16 however small the return is."""

_PER_YEAR_BY_SPACING = ((4, 252.0), (10, 52.0), (20, 26.0), (45, 12.0), (135, 4.0))
"""Longest usual spacing in days between points, and how many such points a year has."""


class TradeFigures(NamedTuple):
    """What trade analysis needs of a trade; `hours` is how long it was held, None if that is not known."""

    pnl: float
    quantity: float
    hours: float | None


def figures_of(trade: ClosedTrade) -> TradeFigures:
    """The figures of a round trip."""
    return TradeFigures(trade.realised_pnl, trade.quantity, (trade.exit_ts - trade.entry_ts) / _NS_PER_HOUR)


def trade_analysis(trades: Iterable[TradeFigures]) -> Statistics:
    """Win rate, profit factor, and averages and extremes of wins, losses, holding times (hours) and sizes.

    Without trades every value is 0.0; `profit_factor` is None when nothing was lost.
    """
    figures = list(trades)
    wins = [t.pnl for t in figures if t.pnl > 0]
    losses = [t.pnl for t in figures if t.pnl < 0]
    return {
        "win_rate": len(wins) / len(figures) if figures else 0.0,
        "profit_factor": math.fsum(wins) / -math.fsum(losses) if losses else None,
        "avg_win": mean(wins),
        "avg_loss": mean(losses),
        "avg_holding_time": mean([t.hours for t in figures if t.hours is not None]),
        "max_win": max(wins, default=0.0),
        "max_loss": min(losses, default=0.0),
        "avg_trade_size": mean([abs(t.quantity) for t in figures]),
    }


def equity_analysis(
    ts: Sequence[int],
    equity: Sequence[float],
    exposure: Sequence[float] = (),
    *,
    periods_per_year: float | None = None,
    convention: Convention = "specification",
) -> Statistics:
    """Return and risk of an equity curve; `exposure` is gross market value.

    `ts` is in ns UTC, ascending; it may be empty if `periods_per_year` is given, and then no dates are reported. Both
    are as long as `equity` otherwise. Fewer than two points are a return of zero without risk.
    """
    per_year = periods_per_year or points_per_year(ts)
    returns = returns_of(equity)
    depth, peak, trough, recovery = deepest_drawdown(equity)
    total = equity[-1] / equity[0] - 1.0 if equity and equity[0] > 0 else 0.0
    growth = annual_growth(total, len(returns) / per_year)
    return {
        "total_return": total,
        "total_return_pct": 100.0 * total,
        "cagr": growth,
        **risk(returns, per_year, convention),
        "max_drawdown": depth,
        "max_drawdown_peak": _date(ts, peak),
        "max_drawdown_trough": _date(ts, trough),
        "max_drawdown_recovery": _date(ts, recovery),
        "max_drawdown_days": _days(ts, peak, recovery),
        "profit_to_drawdown": abs(total / depth) if depth > 0 else 0.0,
        "calmar": growth / depth if growth is not None and depth > 0 else None,
        "winning_days": len([r for r in returns if r > 0]) / len(returns) if returns else 0.0,
        "exposure": mean([g / e for g, e in zip(exposure, equity, strict=False) if e > 0]),
        "time_in_market": len([g for g in exposure if g > 0]) / len(exposure) if exposure else 0.0,
        "periods_per_year": per_year,
    }


def account_analysis(report: AccountReport, equity: Sequence[float]) -> Statistics:
    """The account's totals; `turnover` is the traded value in multiples of the mean equity, None if that is not > 0."""
    average = mean(equity)
    return {
        "initial_cash": report.initial_cash,
        "final_equity": report.final_equity,
        "realised_pnl": report.realised_pnl,
        "unrealised_pnl": report.unrealised_pnl,
        "fees": report.fees,
        "slippage_cost": report.slippage_cost,
        "turnover": report.traded_value / average if average > 0 else None,
    }


def mean(values: Sequence[float]) -> float:
    """The arithmetic mean; 0.0 of nothing."""
    return math.fsum(values) / len(values) if values else 0.0


def returns_of(equity: Sequence[float]) -> list[float]:
    """Simple returns from point to point, up to the point where nothing is left to earn a return on."""
    returns = []
    for before, after in pairwise(equity):
        if before <= 0:
            break
        returns.append(after / before - 1.0)
    return returns


def risk(returns: Sequence[float], per_year: float, convention: Convention) -> Statistics:
    """Annualised volatility, and Sharpe and Sortino ratios without a risk-free rate; 0.0 where there is no risk.

    `specification`: population deviations, Sortino over the deviation of the negative returns from their own mean.
    `sample`: sample deviation, Sortino over the root mean square of the losses among all returns.
    """
    sample = convention == "sample"
    scale = math.sqrt(per_year)
    average = mean(returns)
    spread = _deviation(returns, ddof=1 if sample else 0)
    losses = [min(r, 0.0) for r in returns]
    downside = _root_mean_square(losses) if sample else _deviation([r for r in losses if r < 0])
    floor = max(_NO_SPREAD * max((abs(r) for r in returns), default=0.0), _ROUNDING)
    return {
        "volatility": spread * scale,
        "sharpe_ratio": average / spread * scale if spread > floor else 0.0,
        "sortino_ratio": average / downside * scale if downside > floor else 0.0,
    }


def _deviation(values: Sequence[float], ddof: int = 0) -> float:
    if len(values) <= ddof:
        return 0.0
    centre = mean(values)
    return math.sqrt(math.fsum((v - centre) ** 2 for v in values) / (len(values) - ddof))


def _root_mean_square(values: Sequence[float]) -> float:
    return math.sqrt(mean([v * v for v in values]))


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


def deepest_drawdown(equity: Sequence[float]) -> tuple[float, int | None, int | None, int | None]:
    """The largest fall from a peak as a positive fraction of it; the points of its peak, trough and recovery.

    The recovery is the first point after it at the height of the peak, None if there is none; without a fall all
    three are None. Of several equally deep falls it is the first.
    """
    peaks = list(accumulate(equity, max))
    falls = [1.0 - value / peak if peak > 0 else 0.0 for value, peak in zip(equity, peaks, strict=True)]
    depth = max(falls, default=0.0)
    if depth <= 0:
        return 0.0, None, None, None
    trough = falls.index(depth)
    height = peaks[trough]
    peak = next(i for i in range(trough - 1, -1, -1) if equity[i] == height)
    recovery = next((i for i in range(trough + 1, len(equity)) if equity[i] >= height), None)
    return depth, peak, trough, recovery


def points_per_year(ts: Sequence[int]) -> float:
    """How many points a year has at the curve's own frequency.

    252 for daily points, 365 if there are Saturdays among them; 52, 26, 12, 4 and 1 for longer spacings; several points
    a day count as often as there are on an average day. 252 for fewer than two days.
    """
    days = Counter((t - 1) // _NS_PER_DAY for t in ts)  # midnight is the end of a day: Friday's bar may close on it
    spacings = Counter(after - before for before, after in pairwise(sorted(days)))
    spacing = min(spacings, key=lambda s: (-spacings[s], s), default=1)
    per_day = (1 + len([1 for before, after in pairwise(ts) if after != before])) / len(days) if days else 1.0
    yearly = next((count for longest, count in _PER_YEAR_BY_SPACING if spacing <= longest), 1.0)
    if yearly == 252.0 and any((day + _THURSDAY) % 7 == _SATURDAY for day in days):
        yearly = 365.0
    return yearly * per_day if per_day >= 1.5 else yearly


def _date(ts: Sequence[int], point: int | None) -> str | None:
    if point is None or not ts:
        return None
    return (_EPOCH + dt.timedelta(microseconds=ts[point] // 1000)).isoformat()


def _days(ts: Sequence[int], peak: int | None, recovery: int | None) -> float:
    if peak is None or not ts:
        return 0.0
    return (ts[-1 if recovery is None else recovery] - ts[peak]) / _NS_PER_DAY
