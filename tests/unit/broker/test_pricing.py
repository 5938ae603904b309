from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from components.broker.market import Budget, Market, bar_market
from components.broker.path import Place
from components.broker.pricing import LIMIT_RANK, STOP_RANK, Event, FillPrice, Terms, View, next_event, trail, vwap
from components.broker.rules import RULES
from components.broker.working import Working
from schemas import Direction, Liquidity, OrderType
from tests.support.builders import a_bar, an_order

BUY, SELL = Direction.BUY, Direction.SELL
TERMS = {
    OrderType.LIMIT: {"limit_price": 100.0},
    OrderType.STOP: {"stop_price": 100.0},
    OrderType.MARKET_IF_TOUCHED: {"stop_price": 100.0},
    OrderType.STOP_LIMIT: {"stop_price": 100.0, "limit_price": 100.0},
    OrderType.LIMIT_IF_TOUCHED: {"stop_price": 100.0, "limit_price": 100.0},
}


def a_view(market: Market, order: Working, fill_price: FillPrice = "next_open", strict: bool = False) -> View:
    place = market.place(order.buys, 0.0)
    return View(market, market.side(order.buys).path, place, market.moment(0.0), Terms(fill_price, strict))


def an_event(order: Working, market: Market, fill_price: FillPrice = "next_open", strict: bool = False) -> Event | None:
    return next_event(order, a_view(market, order, fill_price, strict))


def a_working(kind: OrderType, direction: Direction = BUY, **terms) -> Working:
    return Working.of(an_order(order_type=kind, direction=direction, **{**TERMS.get(kind, {}), **terms}), 1)


bars = st.lists(st.floats(90.0, 110.0), min_size=4, max_size=4).map(
    lambda p: a_bar(o=p[0], c=p[1], h=max(p), low=min(p), volume=10_000.0)
)
styles = st.sampled_from(("OHLC", "OLHC", "adaptive"))


@given(bar=bars, style=styles, direction=st.sampled_from(Direction), kind=st.sampled_from(sorted(TERMS)))
def test_an_event_is_inside_the_bar_and_on_the_right_side_of_its_price(bar, style, direction, kind):
    order = a_working(OrderType(kind), direction)
    event = an_event(order, bar_market(bar, style, Budget(None)))
    reached = bar.low <= 100.0 if _waits_for_a_fall(order) else bar.high >= 100.0
    assert (event is not None) == reached
    if event is not None:
        assert bar.low <= event.price <= bar.high
        better = order.sign * (100.0 - event.price)
        assert better >= 0 if kind in (OrderType.LIMIT, *_TOUCHED) else better <= 0
        assert not event.rule or event.rule in RULES


_TOUCHED = (OrderType.MARKET_IF_TOUCHED, OrderType.LIMIT_IF_TOUCHED)


def _waits_for_a_fall(order: Working) -> bool:
    return order.buys == (order.kind in (OrderType.LIMIT, *_TOUCHED))


@given(bar=bars, style=styles, direction=st.sampled_from(Direction), distance=st.floats(0.1, 15.0))
def test_a_trailing_stop_is_its_distance_from_the_best_price_so_far(bar, style, direction, distance):
    order = a_working(OrderType.TRAILING_STOP, direction, trail_amount=distance)
    view = a_view(bar_market(bar, style, Budget(None)), order)
    event, stop = trail(order, view)
    best = max if direction is SELL else min
    visited = [
        bar.open,
        *(price for leg, price in enumerate(view.path.prices[1:], 1) if event is None or leg <= event.position),
    ]
    assert stop == pytest.approx(best(visited) + order.sign * distance)
    if event is not None:
        assert event.price == pytest.approx(stop)
        assert event.rule == "stop_price"
    assert order.stop is None, "pricing changes nothing"


def test_a_trailing_stop_by_fraction_keeps_its_fraction():
    order = a_working(OrderType.TRAILING_STOP, SELL, trail_pct=0.1)
    view = a_view(bar_market(a_bar(o=110, h=120, low=109, c=119), "OHLC", Budget(None)), order)
    assert trail(order, view) == (None, 108.0)


def test_a_trigger_of_a_limit_is_an_event_without_a_rule():
    order = a_working(OrderType.STOP_LIMIT, BUY, stop_price=100.5, limit_price=100.2)
    event = an_event(order, bar_market(a_bar(), "OHLC", Budget(None)))
    assert event == Event(0.5, STOP_RANK, 0.0, 100.5, "", Liquidity.TAKER)


def test_who_is_further_through_the_market_goes_first():
    market = bar_market(a_bar(o=95, h=96, low=94, c=95), "OHLC", Budget(None))
    depths = [an_event(a_working(OrderType.LIMIT, limit_price=limit), market).depth for limit in (96.0, 98.0)]
    assert depths == [-1.0, -3.0]


def test_a_rested_limit_gives_liquidity_where_a_new_one_takes_it():
    market = bar_market(a_bar(o=95, h=96, low=94, c=95), "OHLC", Budget(None))
    order = a_working(OrderType.LIMIT)
    assert an_event(order, market) == Event(0.0, LIMIT_RANK, -5.0, 95.0, "limit_open", Liquidity.TAKER)
    order.rested = True
    assert an_event(order, market) == Event(0.0, LIMIT_RANK, -5.0, 95.0, "limit_open", Liquidity.MAKER)


@pytest.mark.parametrize("kind", [OrderType.MARKET_ON_OPEN, OrderType.MARKET_ON_CLOSE])
def test_auction_orders_wait_for_their_auction(kind):
    market = bar_market(a_bar(c=100.5), "OHLC", Budget(None))
    order = a_working(kind)
    assert an_event(order, market) is None
    market.opens = market.closes = True
    assert an_event(order, market).price == (100.0 if kind is OrderType.MARKET_ON_OPEN else 100.5)


def test_an_order_on_the_open_that_comes_during_the_bar_is_too_late():
    market = bar_market(a_bar(), "OHLC", Budget(None))
    market.opens = True
    order = a_working(OrderType.MARKET_ON_OPEN)
    view = replace(a_view(market, order), here=Place(1.0, 101.0))
    assert next_event(order, view) is None


def test_vwap_is_the_mean_of_four_prices_or_the_close():
    assert vwap(a_bar(o=100, h=104, low=98, c=101)) == 100.75
    assert vwap(a_bar(o=100, h=104, low=98, c=101, volume=0.0)) == 101.0
