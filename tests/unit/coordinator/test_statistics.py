"""Statistics against independent numbers, by hand, and on input that has next to nothing in it."""

from __future__ import annotations

import datetime as dt
import math
from pathlib import Path

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from bus.runtime.settings import RunSettings
from components.coordinator import results
from components.coordinator.curve import CurveAnalysis, Drawdown, Returns
from components.coordinator.results import Results
from components.coordinator.statistics import (
    account_analysis,
    annual_growth,
    curve_statistics,
    equity_analysis,
    frequency,
    points_per_year,
    trade_analysis,
)
from schemas import AccountReport, ClosedTrade, Direction
from tests.support.builders import DAY_NS, T0

HOUR_NS = DAY_NS // 24


def a_curve(points=251, seed=20200102):
    """A random walk from a linear congruential generator, so that anybody can make the same one."""
    equity = [100_000.0]
    for _ in range(points - 1):
        seed = (1103515245 * seed + 12345) % 2**31
        equity.append(equity[-1] * (1 + (seed / 2**31 - 0.48) * 0.04))
    return equity


def weekdays(points):
    return [T0 + n * DAY_NS for n in range(2 * points) if (n + 3) % 7 < 5][:points]


EMPYRICAL = {
    "total_return": 0.8315052336517386,
    "volatility": 0.1806365536161594,
    "sharpe_ratio": 3.4707690650907432,
    "sortino_ratio": 5.776392303526754,
    "max_drawdown": 0.14035116853868143,
    "cagr": 0.8403932398489784,
    "calmar": 5.98778940424256,
}
"""empyrical-reloaded 0.7.1 with pandas 3.1.1 and numpy 2.5.5, on
`returns = pandas.Series(a_curve()).pct_change().dropna()`: cum_returns_final, annual_volatility, sharpe_ratio,
sortino_ratio, -max_drawdown, cagr, calmar_ratio."""

SPECIFICATION = {
    "volatility": 0.18027491851146224,
    "sharpe_ratio": 3.4777314974945273,
    "sortino_ratio": 7.652645513003923,
    "winning_days": 0.592,
}
"""numpy 2.5.5 on `r = v[1:] / v[:-1] - 1` with `v = numpy.array(a_curve())`: r.std() * sqrt(252),
r.mean() / r.std() * sqrt(252), r.mean() / r[r < 0].std() * sqrt(252), (r > 0).mean()."""


def test_the_sample_convention_agrees_with_empyrical():
    analysed = equity_analysis(weekdays(251), a_curve(), convention="sample")
    assert {key: analysed[key] for key in EMPYRICAL} == pytest.approx(EMPYRICAL, rel=1e-9)


def test_the_specifications_convention_agrees_with_its_formulas_in_numpy():
    analysed = equity_analysis(weekdays(251), a_curve())
    assert {key: analysed[key] for key in SPECIFICATION} == pytest.approx(SPECIFICATION, rel=1e-9)


def test_the_deepest_drawdown_is_dated_as_pandas_dates_it():
    """pandas 3.1.1 with `e = Series(a_curve(), bdate_range("2020-01-02", periods=251))`.

    The trough t is (e / e.cummax()).idxmin(), the peak p is e[:t].idxmax(), the recovery the first of e[t:] >= e[p].
    """
    analysed = equity_analysis(weekdays(251), a_curve())
    assert analysed["max_drawdown_peak"] == "2020-06-03T00:00:00+00:00"
    assert analysed["max_drawdown_trough"] == "2020-07-30T00:00:00+00:00"
    assert analysed["max_drawdown_recovery"] == "2020-10-08T00:00:00+00:00"
    assert analysed["max_drawdown_days"] == (dt.date(2020, 10, 8) - dt.date(2020, 6, 3)).days


def test_a_small_curve_by_hand():
    analysed = equity_analysis(weekdays(4), [100.0, 110.0, 99.0, 118.8], [0.0, 55.0, 99.0, 0.0])
    root = math.sqrt(252)
    returns = [0.1, -0.1, 0.2]
    spread = math.sqrt(sum((r - 0.2 / 3) ** 2 for r in returns) / 3)
    assert analysed["total_return"] == pytest.approx(0.188)
    assert analysed["total_return_pct"] == pytest.approx(18.8)
    assert analysed["volatility"] == pytest.approx(spread * root)
    assert analysed["sharpe_ratio"] == pytest.approx(0.2 / 3 / spread * root)
    assert analysed["sortino_ratio"] == 0.0  # one loss alone has no spread of its own
    assert analysed["max_drawdown"] == pytest.approx(0.1)
    assert analysed["profit_to_drawdown"] == pytest.approx(1.88)
    assert analysed["winning_days"] == pytest.approx(2 / 3)
    assert analysed["cagr"] == pytest.approx(1.188**84 - 1)
    assert analysed["calmar"] == pytest.approx((1.188**84 - 1) / 0.1)
    assert analysed["exposure"] == pytest.approx((0.5 + 1.0) / 4)
    assert analysed["time_in_market"] == 0.5


KEYS = set(equity_analysis((), ()))


@pytest.mark.parametrize("equity", [[], [100.0], [100.0] * 5], ids=["no point", "one point", "no change"])
def test_a_curve_without_movement_has_neither_return_nor_risk(equity):
    analysed = equity_analysis([T0 + n * DAY_NS for n in range(len(equity))], equity)
    zero = {"total_return", "total_return_pct", "cagr", "volatility", "sharpe_ratio", "sortino_ratio", "max_drawdown"}
    assert {analysed[key] for key in zero | {"profit_to_drawdown", "winning_days", "exposure"}} == {0.0}
    assert analysed["calmar"] is None
    assert analysed["max_drawdown_peak"] is None


@pytest.mark.parametrize("daily", [1.001, 1.0001, 1.000001])
def test_steady_growth_has_no_risk_in_spite_of_rounding(daily):
    analysed = equity_analysis(weekdays(500), [1e5 * daily**n for n in range(500)])
    assert (analysed["sharpe_ratio"], analysed["sortino_ratio"], analysed["calmar"]) == (0.0, 0.0, None)


@pytest.mark.parametrize("convention", ["specification", "sample"])
def test_steady_decline_has_no_infinite_ratio(convention):
    analysed = equity_analysis(weekdays(500), [1e5 * 0.9999**n for n in range(500)], convention=convention)
    assert analysed["sharpe_ratio"] == 0.0
    assert analysed["sortino_ratio"] == pytest.approx(0.0 if convention == "specification" else -math.sqrt(252))


def test_a_small_risk_is_a_risk():
    equity = [1e5 * (1 + n * 1e-9 + (n % 2) * 1e-9) for n in range(500)]
    assert equity_analysis(weekdays(500), equity)["sharpe_ratio"] > 1.0


@pytest.mark.parametrize("convention", ["specification", "sample"])
@given(st.lists(st.floats(-1e6, 1e9).map(lambda v: round(v, 2)), max_size=30), st.integers(1, 10**5))
def test_no_curve_gives_nan_or_infinity(convention, equity, spacing):
    equity = [10_000.0, *equity]
    ts = [T0 + n * spacing * 10**12 for n in range(len(equity))]
    analysed = equity_analysis(ts, equity, [abs(v) for v in equity], convention=convention)
    assert set(analysed) == KEYS
    assert all(v is None or isinstance(v, str) or (type(v) is float and math.isfinite(v)) for v in analysed.values())


def a_drawdown(equity, *cuts):
    """Depth and, as indices, peak, trough and recovery of a curve that comes in blocks."""
    fall, values = Drawdown(), np.array(equity)
    for block in np.split(np.arange(len(equity)), sorted(cuts)):
        if len(block):
            fall.add(block, values[block])
    return fall.depth, fall.peak, fall.trough, fall.recovery


@given(st.lists(st.floats(1.0, 1e6), min_size=2, max_size=50))
def test_a_drawdown_is_the_largest_fall_between_two_points(equity):
    depth, peak, trough, recovery = a_drawdown(equity)
    falls = [1 - low / high for n, high in enumerate(equity) for low in equity[n:]]
    assert depth == max(falls)
    if depth > 0:
        assert equity[trough] == equity[peak] * (1 - depth) or depth == 1 - equity[trough] / equity[peak]
        assert recovery is None or equity[recovery] >= equity[peak]


def test_a_drawdown_that_is_not_recovered_lasts_until_the_end():
    analysed = equity_analysis(weekdays(4), [100.0, 90.0, 80.0, 85.0])
    assert (analysed["max_drawdown_recovery"], analysed["max_drawdown_days"]) == (None, 5.0)


def test_returns_end_where_the_account_is_ruined():
    returns = Returns()
    for block in ([100.0, 50.0], [-10.0, 20.0], [30.0]):
        returns.add(np.array(block))
    assert (returns.all.count, returns.all.mean) == (2, pytest.approx(-0.85))


@given(st.data())
def test_a_curve_in_blocks_is_the_curve_in_one(data):
    equity = data.draw(st.lists(st.sampled_from([0.0, 90.0, 100.0, 110.0, 111.5, -3.0]), min_size=1, max_size=20))
    cuts = sorted(data.draw(st.sets(st.integers(1, len(equity)))))
    ts = np.cumsum(data.draw(st.lists(st.integers(0, 10**14), min_size=len(equity), max_size=len(equity))))
    whole, parts = CurveAnalysis(), CurveAnalysis()
    values, exposure = np.array(equity), np.abs(np.array(equity)) / 2
    whole.add(ts, values, exposure)
    for block in np.split(np.arange(len(equity)), cuts):
        parts.add(ts[block], values[block], exposure[block])
    assert a_drawdown(equity) == a_drawdown(equity, *cuts)
    for convention in ("specification", "sample"):
        one, many = (curve_statistics(a, frequency(a.calendar), convention) for a in (whole, parts))
        assert many == {
            k: v if v is None or isinstance(v, str) else pytest.approx(v, abs=1e-12) for k, v in one.items()
        }


@given(st.lists(st.floats(-10.0, 200.0), min_size=1, max_size=40), st.integers(1, 9))
@example([2.225e-309, -1.0], 1)
def test_the_deepest_fall_is_the_same_in_blocks(equity, size):
    assert a_drawdown(equity) == a_drawdown(equity, *range(size, len(equity), size))


def test_where_nothing_changes_every_return_is_zero():
    flat, moving = Returns(), Returns()
    for returns in (flat, moving):
        returns.add(np.array([100.0, 110.0]))
    flat.add(np.full(50, 110.0))
    moving.all.add(np.zeros(50))
    moving.losses.add(np.zeros(50))
    assert flat == moving


@pytest.mark.parametrize(
    ("total", "years", "growth"),
    [(0.21, 2.0, 0.1), (0.5, 0.0, 0.0), (-1.0, 1.0, -1.0), (-3.0, 1.0, -1.0), (0.5, 1e-6, None)],
)
def test_annual_growth_and_its_limits(total, years, growth):
    assert annual_growth(total, years) == (None if growth is None else pytest.approx(growth))


def spaced(step_ns, points):
    return [T0 + n * step_ns for n in range(points)]


@pytest.mark.parametrize(
    ("ts", "expected"),
    [
        ([], 252.0),
        ([T0], 252.0),
        (weekdays(2), 252.0),
        (weekdays(600), 252.0),
        ([T0 + DAY_NS, T0 + 4 * DAY_NS], 252.0),  # Friday and Monday
        (spaced(DAY_NS, 10), 365.0),
        (spaced(7 * DAY_NS, 20), 52.0),
        (spaced(14 * DAY_NS, 20), 26.0),
        (spaced(30 * DAY_NS, 20), 12.0),
        (spaced(91 * DAY_NS, 20), 4.0),
        (spaced(365 * DAY_NS, 5), 1.0),
        ([day + n * HOUR_NS for day in weekdays(10) for n in range(14, 21)], 252.0 * 7),
        ([T0 + n * HOUR_NS for n in range(1, 24 * 14 + 1)], 365.0 * 24),  # the last bar of a day ends at midnight
        ([day + DAY_NS for day in weekdays(10)], 252.0),  # Friday's bar ends when Saturday begins
    ],
)
def test_the_frequency_is_that_of_the_data(ts, expected):
    assert points_per_year(ts) == expected


def test_two_points_at_one_time_count_once():
    assert points_per_year([T0, T0]) == 252.0


def test_trades_by_hand():
    assert trade_analysis([100.0, -40.0, 50.0, 0.0], [10.0, -30.0, 20.0, 20.0], [2.0, 4.0, 6.0]) == {
        "win_rate": 0.5,
        "profit_factor": 3.75,
        "avg_win": 75.0,
        "avg_loss": -40.0,
        "avg_holding_time": 4.0,
        "max_win": 100.0,
        "max_loss": -40.0,
        "avg_trade_size": 20.0,
    }


def test_without_trades_everything_is_zero_and_there_is_no_profit_factor():
    analysed = trade_analysis([], [], [])
    assert analysed.pop("profit_factor") is None
    assert set(analysed.values()) == {0.0}


def test_without_losses_there_is_no_profit_factor():
    assert trade_analysis([100.0], [10.0], [2.0])["profit_factor"] is None


def mean(values):
    return math.fsum(values) / len(values) if values else 0.0


def trades_in_plain_python(trades):
    """By the definitions, over all trades at once."""
    wins, losses = ([t.realised_pnl for t in trades if sign * t.realised_pnl > 0] for sign in (1, -1))
    return {
        "win_rate": len(wins) / len(trades) if trades else 0.0,
        "profit_factor": math.fsum(wins) / -math.fsum(losses) if losses else None,
        "avg_win": mean(wins),
        "avg_loss": mean(losses),
        "avg_holding_time": mean([(t.exit_ts - t.entry_ts) / HOUR_NS for t in trades]),
        "max_win": max(wins, default=0.0),
        "max_loss": min(losses, default=0.0),
        "avg_trade_size": mean([t.quantity for t in trades]),
    }


def a_closed_trade(pnl, quantity, entry_ts, held_ns, currency):
    times_and_prices = (entry_ts, 1.0, entry_ts + held_ns, 1.0)
    return ClosedTrade("p-1", "AAPL", Direction.BUY, quantity, *times_and_prices, pnl, 0.0, currency=currency)


SOME_TRADES = st.builds(
    a_closed_trade,
    st.floats(1e-9, 1e9) | st.floats(-1e9, -1e-9) | st.sampled_from([0.0, -0.0, 0.1, -0.1]),
    st.floats(0.0, 1e6),
    st.integers(0, 2**61),
    st.integers(0, 2**62),
    st.sampled_from(["", "", "EUR"]),
)


@given(st.lists(SOME_TRADES, max_size=20), st.integers(1, 9))
def test_trades_in_blocks_are_to_the_bit_what_all_at_once_are(trades, at_once):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(results, "_MOST_WAITING", at_once * results._TRADE.itemsize)
        collected = Results(RunSettings(), "specification")
        for trade in trades:
            collected.add_trade(trade)
        expected = trades_in_plain_python([trade for trade in trades if not trade.currency])
        found = collected.statistics()
        assert {name: found[name] for name in expected} == expected
        assert collected.counts()["trades"] == len(trades)


def test_a_round_trip_is_held_for_hours():
    collected = Results(RunSettings(), "specification")
    collected.add_trade(ClosedTrade("p-1", "AAPL", Direction.SELL, 5.0, T0, 10.0, T0 + 3 * HOUR_NS // 2, 9.0, 5.0, 0.0))
    assert collected.statistics()["avg_holding_time"] == 1.5


def a_report(**values):
    amounts = dict.fromkeys(
        ("final_cash", "final_equity", "realised_pnl", "unrealised_pnl", "fees", "slippage_cost"), 0.0
    )
    return AccountReport(
        **{
            "ts": T0,
            "initial_cash": 100.0,
            **amounts,
            "traded_value": 450.0,
            "fills": 0,
            "open_positions": {},
            **values,
        }
    )


def test_turnover_is_in_multiples_of_the_mean_equity():
    assert account_analysis(a_report(), 150.0)["turnover"] == 3.0


@pytest.mark.parametrize("average", [0.0, -5.0])
def test_without_equity_there_is_no_turnover(average):
    assert account_analysis(a_report(), average)["turnover"] is None


def test_every_statistic_is_documented():
    text = (Path(__file__).parents[3] / "docs" / "statistics.md").read_text(encoding="utf-8")
    keys = KEYS | set(trade_analysis([], [], [])) | set(account_analysis(a_report(), 0.0))
    assert not [key for key in sorted(keys) if f"`{key}`" not in text]
