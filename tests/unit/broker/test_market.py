from __future__ import annotations

import pytest

from components.broker.market import Budget, bar_budget, bar_market, latest_market, price_market, tick_market
from components.broker.path import Place
from schemas import Quote, Trade
from tests.support.builders import a_bar


@pytest.mark.parametrize(
    ("volume", "pct", "lot", "expected"),
    [
        (10_000.0, 0.1, 0.0, 1_000.0),
        (10_009.0, 0.1, 0.0, 1_000.0),
        (9.0, 0.1, 0.0, 0.0),
        (100.0, 0.29, 0.0, 29.0),
        (10_000.0, 0.1, 300.0, 900.0),
        (7.0, 0.1, 0.001, 0.7),
        (0.0, 0.1, 0.0, 0.0),
    ],
)
def test_a_budget_is_a_share_of_the_volume_in_whole_lots(volume, pct, lot, expected):
    bar = a_bar(volume=volume)
    assert bar_budget(bar, pct, lot) == Budget(expected, bar.ts, bar)


def test_both_directions_of_a_bar_share_one_budget():
    market = bar_market(a_bar(), "OHLC", Budget(1_000.0))
    market.buy.budget.left -= 400.0
    assert market.sell.budget.offer(1_000.0) == 600.0


def test_the_sides_of_a_quote_are_apart():
    market = tick_market(Quote(1, "AAPL", 99.0, 500.0, 101.0, 300.0), capped=True)
    assert (market.place(True, 0.0), market.buy.budget.left) == (Place(0.0, 101.0), 300.0)
    assert (market.place(False, 0.0), market.sell.budget.left) == (Place(0.0, 99.0), 500.0)


def test_without_a_cap_sizes_of_ticks_do_not_matter():
    assert tick_market(Quote(1, "AAPL", 99.0, 500.0, 101.0, 300.0), capped=False).buy.budget.left is None
    assert tick_market(Trade(1, "AAPL", 99.0, 500.0), capped=False).sell.budget.left is None


def test_sizes_of_ticks_count_in_whole_lots():
    assert tick_market(Trade(1, "AAPL", 99.0, 250.0), True, lot_size=100.0).buy.budget.left == 200.0
    assert tick_market(Trade(1, "AAPL", 99.0, 0.75), True).buy.budget.left == 0.75


def test_there_is_nobody_to_meet_on_a_side_that_a_quote_does_not_show():
    market = tick_market(Quote(1, "AAPL", 0.0, 0.0, 101.0, 300.0), capped=False)
    assert (market.is_void(True), market.is_void(False)) == (False, True)
    assert latest_market(market).is_void(False)
    assert market.sell.budget.left == 0.0


def test_both_directions_of_a_trade_share_its_quantity():
    market = tick_market(Trade(1, "AAPL", 99.0, 500.0), capped=True)
    market.sell.budget.left -= 450.0
    assert market.buy.budget.offer(100.0) == 50.0


def test_the_latest_market_spends_the_same_budget():
    bar = bar_market(a_bar(c=100.5), "OHLC", Budget(1_000.0))
    latest = latest_market(bar)
    latest.buy.budget.left -= 300.0
    assert latest.place(True, 0.0).price == 100.5
    assert bar.buy.budget.left == 700.0


def test_a_price_market_has_no_limit():
    market = price_market(1, 101.0, 99.0)
    assert (market.place(True, 0.0).price, market.place(False, 0.0).price) == (101.0, 99.0)
    assert market.buy.budget.offer(1e12) == 1e12


def test_without_a_cap_a_bar_has_no_budget():
    assert bar_budget(a_bar(volume=5.0), None, 0.0).left is None


def test_a_bar_without_volume_is_untraded_only_where_volume_counts():
    assert bar_market(a_bar(volume=0.0), "OHLC", Budget(0.0)).untraded
    assert not bar_market(a_bar(volume=0.0), "OHLC", Budget(None)).untraded
    assert not bar_market(a_bar(volume=1.0), "OHLC", Budget(0.0)).untraded


def test_rules_call_a_place_by_how_an_order_came_there():
    bar = bar_market(a_bar(), "OHLC", Budget(1_000.0))
    assert (bar.moment(0.0), bar.moment(0.1)) == ("open", "arrival")
    assert tick_market(Trade(1, "AAPL", 99.0, 1.0), capped=True).moment(0.0) == "trade"
    assert latest_market(bar).moment(0.0) == "latest"
