"""A position by hand: long, short, partial close, flip, fees and slippage."""

from __future__ import annotations

from copy import copy
from itertools import repeat

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import structs

from components.accounting.position import Position
from schemas import Direction
from tests.support.builders import DAY_NS, T0, a_fill

BUY, SELL = Direction.BUY, Direction.SELL
FREE = (0.0, 0.0)


def booked(position, direction, quantity, price, costs=FREE, day=0, fill_id="f"):
    fill = a_fill(fill_id, direction=direction, quantity=quantity, price=price, ts=T0 + day * DAY_NS)
    return position.apply(fill, direction.sign * quantity, *costs)


def costs_of(position):
    return position.fees, position.slippage


def test_buying_more_averages_the_price():
    position = Position("AAPL")
    booked(position, BUY, 100.0, 10.0)
    booked(position, BUY, 300.0, 14.0)
    assert (position.quantity, position.average_price) == (400.0, 13.0)


def test_a_long_round_trip_earns_what_the_price_rose():
    position = Position("AAPL", currency="EUR", trade_ids=repeat("T-1"))
    booked(position, BUY, 100.0, 10.0, fill_id="in")
    trip = booked(position, SELL, 100.0, 12.0, day=3, fill_id="out")
    assert structs.asdict(trip) == {
        "trade_id": "T-1",
        "symbol": "AAPL",
        "direction": BUY,
        "quantity": 100.0,
        "entry_ts": T0,
        "entry_price": 10.0,
        "exit_ts": T0 + 3 * DAY_NS,
        "exit_price": 12.0,
        "realised_pnl": 200.0,
        "fees": 0.0,
        "slippage_cost": 0.0,
        "entry_fill_id": "in",
        "exit_fill_id": "out",
        "currency": "EUR",
    }
    assert (position.quantity, position.average_price) == (0.0, 0.0)


def test_a_short_round_trip_earns_what_the_price_fell():
    position = Position("AAPL")
    booked(position, SELL, 100.0, 10.0)
    assert position.quantity == -100.0
    trip = booked(position, BUY, 100.0, 9.0)
    assert (trip.direction, trip.realised_pnl) == (SELL, 100.0)


def test_a_partial_close_takes_its_share_of_the_entrys_costs():
    position = Position("AAPL")
    booked(position, BUY, 100.0, 10.0, (8.0, 4.0))
    trip = booked(position, SELL, 25.0, 12.0, (1.0, 0.5))
    assert (trip.quantity, trip.fees, trip.slippage_cost) == (25.0, 3.0, 1.5)
    assert trip.realised_pnl == 25 * 2.0 - 3.0
    assert (position.quantity, position.average_price, costs_of(position)) == (75.0, 10.0, (6.0, 3.0))


def test_a_flip_splits_the_fills_costs_by_quantity():
    position = Position("AAPL")
    booked(position, BUY, 100.0, 10.0, (2.0, 0.0), fill_id="in")
    trip = booked(position, SELL, 150.0, 11.0, (3.0, 1.5), day=1, fill_id="flip")
    assert (trip.quantity, trip.fees, trip.realised_pnl) == (100.0, 4.0, 96.0)
    assert (position.quantity, position.average_price) == (-50.0, 11.0)
    assert costs_of(position) == pytest.approx((1.0, 0.5))
    assert (position.entry_ts, position.entry_fill_id) == (T0 + DAY_NS, "flip")


def test_the_entry_is_the_fill_that_opened_the_position():
    position = Position("AAPL")
    booked(position, BUY, 10.0, 10.0, fill_id="first")
    booked(position, BUY, 10.0, 11.0, day=1, fill_id="second")
    trip = booked(position, SELL, 20.0, 12.0, day=2)
    assert (trip.entry_fill_id, trip.entry_ts, trip.entry_price) == ("first", T0, 10.5)


def test_the_point_value_scales_gains():
    position = Position("ES", point_value=50.0)
    booked(position, BUY, 2.0, 4000.0)
    assert position.unrealised_pnl(4010.0) == 1000.0
    assert booked(position, SELL, 2.0, 4010.0).realised_pnl == 1000.0


def test_unrealised_profit_is_net_of_the_entrys_fees():
    position = Position("AAPL")
    booked(position, SELL, 100.0, 10.0, (7.0, 1.0))
    assert position.unrealised_pnl(9.0) == 93.0


def test_quantities_that_do_not_add_up_in_floating_point_still_close():
    position = Position("BTC")
    booked(position, BUY, 0.1, 100.0, (1.0, 0.0))
    booked(position, BUY, 0.2, 100.0, (1.0, 0.0))
    booked(position, SELL, 0.3, 100.0)
    assert (position.quantity, position.average_price, costs_of(position)) == (0.0, 0.0, FREE)


@pytest.mark.parametrize("direction", [Direction.BUY, Direction.SELL])
def test_a_fill_of_nothing_closes_nothing(direction):
    position = Position("AAPL")
    booked(position, Direction.BUY, 5.0, 100.0)
    assert booked(position, direction, 0.0, 110.0) is None
    assert position.quantity == 5.0


def test_a_dust_of_a_fill_does_not_flip_the_position():
    position = Position("BTC")
    booked(position, BUY, 0.3, 100.0)
    booked(position, SELL, 0.1 + 0.2, 100.0)
    assert position.quantity == 0.0


amounts = st.floats(0.01, 1e4)
money = st.floats(-1.0, 20.0)


@given(st.sampled_from([BUY, SELL]), st.lists(amounts, min_size=1, max_size=4), amounts, money, money)
def test_to_leave_a_position_is_to_reduce_it_by_all_of_it(direction, quantities, price, fees, slippage):
    position = Position("AAPL", point_value=2.5)
    for n, quantity in enumerate(quantities):
        booked(position, direction, quantity, price + n, (fees, slippage))
    reduced, out = copy(position), a_fill("out", price=price * 1.01)
    expected = reduced._reduce(out, -position.quantity, slippage, fees)
    assert position.apply(out, -position.quantity, slippage, fees) == expected
    assert position == reduced


@given(st.sampled_from([1, -1]), amounts, amounts, money, money)
def test_to_enter_a_position_is_to_add_to_none(sign, quantity, price, fees, slippage):
    entered, fill = Position("AAPL"), a_fill("in", price=price)
    added = Position("AAPL", entry_ts=fill.ts, entry_fill_id="in")
    entered.apply(fill, quantity * sign, fees, slippage)
    added._add(fill, quantity * sign, fees, slippage)
    assert entered == added
