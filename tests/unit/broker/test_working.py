from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from components.broker.working import Working, group_of, missing, tidy
from schemas import Direction, GroupType, OrderState, OrderType, TimeInForce
from tests.support.builders import T0, an_order


def test_a_new_order_has_all_of_it_to_do():
    order = Working.of(an_order(direction=Direction.SELL, quantity=30.0), 5)
    assert (order.quantity, order.leaves, order.filled, order.number) == (30.0, 30.0, 0.0, 5)
    assert (order.sign, order.buys, order.state) == (-1, False, OrderState.ROUTED)


def test_only_a_gtd_order_knows_its_expiry_from_the_beginning():
    gtd = an_order(time_in_force=TimeInForce.GTD, expire_ts=T0 + 5)
    assert Working.of(gtd, 1).expire_ts == T0 + 5
    assert Working.of(an_order(expire_ts=T0 + 5), 1).expire_ts is None


def test_an_order_that_has_filled_some_is_partial():
    order = Working.of(an_order(), 1)
    order.filled = 1.0
    assert order.state is OrderState.PARTIAL


def test_tidy_removes_the_dust_of_binary_fractions():
    assert tidy(0.3 - 0.1) == 0.2
    assert tidy(1e9 + 0.25) == 1e9 + 0.25


@pytest.mark.parametrize(
    ("terms", "lacks"),
    [
        ({"order_type": OrderType.MARKET}, None),
        ({"order_type": OrderType.LIMIT}, "a limit_price"),
        ({"order_type": OrderType.STOP}, "a stop_price"),
        ({"order_type": OrderType.STOP_LIMIT, "stop_price": 1.0}, "a stop_price and a limit_price"),
        ({"order_type": OrderType.STOP_LIMIT, "stop_price": 1.0, "limit_price": 1.0}, None),
        ({"order_type": OrderType.TRAILING_STOP}, "a trail_amount or a trail_pct"),
        ({"order_type": OrderType.TRAILING_STOP, "trail_pct": 0.01}, None),
        ({"order_type": OrderType.MARKET_IF_TOUCHED}, "a stop_price"),
        ({"order_type": OrderType.LIMIT_IF_TOUCHED, "limit_price": 1.0}, "a stop_price and a limit_price"),
        ({"quantity": 0.0}, "a quantity above 0"),
        ({"quantity": float("nan")}, "a quantity above 0"),
    ],
)
def test_an_order_says_what_it_lacks(terms, lacks):
    assert missing(an_order(**terms)) == lacks


@pytest.mark.parametrize(
    ("terms", "group"),
    [
        ({}, ""),
        ({"group_id": "g", "group_type": GroupType.OCO}, "g"),
        ({"group_id": "g", "group_type": GroupType.OTO, "parent_id": "p"}, ""),
        ({"group_id": "g", "group_type": GroupType.BRACKET}, ""),
        ({"group_id": "g", "group_type": GroupType.BRACKET, "parent_id": "p"}, "children of p"),
    ],
)
def test_orders_exclude_each_other_by_group_or_by_parent(terms, group):
    assert group_of(an_order(**terms)) == group


@given(st.one_of(st.floats(), st.floats(-1e6, 1e6).map(lambda n: round(n, 3)), st.integers(-1000, 1000)))
def test_tidy_rounds_to_ten_places_and_knows_no_negative_zero(value):
    assert repr(tidy(value)) == repr(round(value, 10) + 0.0)
