"""Plain orders as columns say what the messages say."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from bus.runtime.block import Block
from bus.runtime.plain import PlainOrders, Trips, direction_of, is_plain, plain_order, whole_sum
from schemas import ClosedTrade, Direction, GroupType, Order, OrderType, TimeInForce
from tests.support.builders import DAY_NS, T0, a_bar, an_order

INF, NAN = float("inf"), float("nan")
TOO_LARGE = 2.0**53

WHOLE = st.integers(-1000, 1000).map(float)
LARGE = st.integers(-(2**53), 2**53).map(float)
ANY = st.floats(-1e300, 1e300) | st.sampled_from([INF, NAN, 0.1, 0.5, 1e16])


def one_by_one(start: float, values: list[float]) -> float:
    for value in values:
        start += value
    return start


@given(WHOLE | LARGE | ANY, st.lists(WHOLE, max_size=30) | st.lists(LARGE, max_size=30) | st.lists(ANY, max_size=4))
@example(TOO_LARGE - 3, [1.0, 1.0])
@example(1.0, [TOO_LARGE, 1.0, -TOO_LARGE])
def test_a_sum_at_once_is_that_of_one_by_one_or_none_is_given(start, values):
    total = whole_sum(start, np.array(values, np.float64))
    assert total is None or (type(total), total) == (float, one_by_one(start, values))


@given(WHOLE, st.lists(WHOLE, max_size=30))
def test_whole_numbers_have_a_sum_at_once(start, values):
    assert whole_sum(start, np.array(values, np.float64)) == one_by_one(start, values)


@pytest.mark.parametrize(
    ("start", "values"),
    [(0.5, [1.0]), (1.0, [2.0, 0.5, 0.5]), (0.0, [NAN]), (0.0, [INF]), (INF, [1.0]), (NAN, []), (-INF, [INF])],
)
def test_fractions_and_what_is_no_number_have_no_sum_at_once(start, values):
    assert whole_sum(start, np.array(values)) is None


@pytest.mark.parametrize("values", [[INF, -INF], [1e308, 1e308]])
def test_sums_that_are_no_number_are_not_warned_of(values):
    assert whole_sum(0.0, np.array(values)) is None


@pytest.mark.parametrize("sign", [1.0, -1.0])
def test_numbers_that_may_get_too_large_on_the_way_have_no_sum_at_once(sign):
    assert whole_sum(sign * (TOO_LARGE - 2), np.array([sign])) == sign * (TOO_LARGE - 1)
    assert whole_sum(sign * (TOO_LARGE - 1), np.array([sign])) is None
    assert whole_sum(sign * TOO_LARGE, np.zeros(0)) is None
    half = TOO_LARGE / 2
    assert whole_sum(0.0, np.array([sign * half, -sign * half])) is None
    assert whole_sum(-sign * half, np.array([sign * half])) is None
    assert whole_sum(0.0, np.array([sign * half, -sign * (half - 1)])) == sign


def test_no_numbers_leave_what_was_there():
    assert whole_sum(7.0, np.zeros(0)) == 7.0


@pytest.mark.parametrize("direction", Direction)
def test_a_market_order_with_nothing_special_is_plain(direction):
    order = an_order("a", symbol="MSFT", direction=direction, quantity=0.7, ts=T0 + 1, reason="why not")
    assert is_plain(order)
    assert order == plain_order("a", "MSFT", direction, 0.7, T0 + 1, "why not")


@pytest.mark.parametrize(
    "terms",
    [
        {"order_type": OrderType.LIMIT, "limit_price": 9.0},
        {"limit_price": 9.0},
        {"stop_price": 9.0},
        {"time_in_force": TimeInForce.IOC},
        {"expire_ts": T0},
        {"trail_amount": 1.0},
        {"trail_pct": 0.1},
        {"post_only": True},
        {"reduce_only": True},
        {"group_id": "g"},
        {"group_type": GroupType.OCO},
        {"parent_id": "p"},
    ],
    ids=lambda terms: next(iter(terms)),
)
def test_an_order_with_any_other_terms_is_not_plain(terms):
    assert not is_plain(an_order(**terms))


def test_every_term_of_an_order_makes_it_plain_or_not():
    free = {"order_id", "symbol", "direction", "quantity", "ts", "reason"}
    assert set(Order.__struct_fields__) - free == {
        "order_type",
        "limit_price",
        "stop_price",
        "time_in_force",
        "expire_ts",
        "trail_amount",
        "trail_pct",
        "post_only",
        "reduce_only",
        "group_id",
        "group_type",
        "parent_id",
    }


def test_times_are_those_of_the_source_or_of_the_bars():
    bars = [a_bar(n) for n in range(5)]
    expected = [T0 + n * DAY_NS for n in range(5)]
    array = np.array(expected, np.int64)
    assert Block(bars, arrays={"ts": array}).times is array
    times = Block(bars).times
    assert (times.dtype, times.tolist()) == (np.dtype(np.int64), expected)
    assert Block([a_bar(ts=2**62 + 1)]).times.tolist() == [2**62 + 1], "no float has that time"


def test_the_sign_of_a_quantity_is_its_direction():
    assert [direction_of(units) for units in (0.1, 7.0, -0.1, -7.0)] == [Direction.BUY] * 2 + [Direction.SELL] * 2


def test_an_order_of_many_is_the_message():
    signed, made = np.array([0.7, -3.0]), np.array([T0, T0 + DAY_NS])
    orders = PlainOrders("MSFT", ["r-9", "r-10"], np.array([4, 5]), made, signed, np.abs(signed), ["", "enough"])
    assert orders.order(0) == an_order("r-9", symbol="MSFT", quantity=0.7)
    last = orders.order(1)
    assert last == an_order(
        "r-10", symbol="MSFT", direction=Direction.SELL, quantity=3.0, ts=T0 + DAY_NS, reason="enough"
    )
    assert (type(last.quantity), type(last.ts)) == (float, int)


def test_round_trips_are_given_as_the_messages():
    columns = ([T0, T0 + 1], [10.0, 11.0], [T0 + 2, T0 + 3], [12.0, 10.5], [1.9, 0.4], [0.1, 0.2], [0.0, 0.3])
    numbers = [np.array(column) for column in columns]
    trips = Trips(["p-1", "p-2"], np.array([1, 2]), np.array([1.0, -2.0]), *numbers, ["f-1", "f-2"], ["f-2", "f-3"])
    first, second = trips.messages("AAPL")
    assert first == ClosedTrade("p-1", "AAPL", Direction.BUY, 1.0, T0, 10.0, T0 + 2, 12.0, 1.9, 0.1, 0.0, "f-1", "f-2")
    assert (second.direction, second.quantity, second.entry_ts) == (Direction.SELL, 2.0, T0 + 1)
    assert (type(second.quantity), type(second.exit_ts)) == (float, int)
    assert [trips.message(number, "AAPL") for number in range(2)] == [first, second]
