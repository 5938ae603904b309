import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bus.runtime.settings import RunSettings
from components.order_manager import validator
from components.order_manager.codes import RejectCode
from components.order_manager.validator import ANY_STEPS, OrderValidator, is_multiple
from schemas import Direction, GroupType, Order, OrderType, TimeInForce
from tests.support.builders import T0, an_order
from tests.unit.order_manager.support import stocks

NAN, INF = math.nan, math.inf
PRICES: dict[OrderType, dict[str, Any]] = {
    OrderType.MARKET: {},
    OrderType.LIMIT: {"limit_price": 99.0},
    OrderType.STOP: {"stop_price": 99.0},
    OrderType.STOP_LIMIT: {"limit_price": 99.0, "stop_price": 98.0},
    OrderType.TRAILING_STOP: {"trail_pct": 0.05},
    OrderType.MARKET_IF_TOUCHED: {"stop_price": 99.0},
    OrderType.LIMIT_IF_TOUCHED: {"limit_price": 99.0, "stop_price": 98.0},
    OrderType.MARKET_ON_OPEN: {},
    OrderType.MARKET_ON_CLOSE: {},
}


def code_of(run: RunSettings | None = None, order_id: str = "risk-1", **order: Any) -> str | None:
    rejection = OrderValidator(run or RunSettings()).check(an_order(order_id, **order), T0)
    return rejection.code if rejection else None


def a_dict(**other: Any) -> dict[str, Any]:
    return {
        "order_id": "a-1",
        "symbol": "AAPL",
        "quantity": 100,
        "direction": "BUY",
        "order_type": "MARKET",
        **other,
    }


@pytest.mark.parametrize("order_type", OrderType)
@pytest.mark.parametrize("direction", Direction)
def test_an_order_with_the_prices_of_its_type_has_no_fault(order_type, direction):
    assert code_of(order_type=order_type, direction=direction, **PRICES[order_type]) is None


@pytest.mark.parametrize("order_type", OrderType)
@pytest.mark.parametrize("field", ["limit_price", "stop_price"])
@pytest.mark.parametrize("price", [None, 0.0, -1.0, NAN, INF, "99", True])
def test_a_price_that_its_type_needs_must_be_a_finite_price_above_zero(order_type, field, price):
    if field not in PRICES[order_type]:
        return
    expected = RejectCode.INVALID_LIMIT_PRICE if field == "limit_price" else RejectCode.INVALID_STOP_PRICE
    assert code_of(order_type=order_type, **{**PRICES[order_type], field: price}) == expected


@pytest.mark.parametrize("order_type", OrderType)
@pytest.mark.parametrize("field", ["limit_price", "stop_price"])
def test_a_price_that_its_type_does_not_have_must_not_be_given(order_type, field):
    if field in PRICES[order_type]:
        return
    expected = RejectCode.UNEXPECTED_LIMIT_PRICE if field == "limit_price" else RejectCode.UNEXPECTED_STOP_PRICE
    assert code_of(order_type=order_type, **{**PRICES[order_type], field: 99.0}) == expected


@pytest.mark.parametrize("quantity", [0.0, -5.0, NAN, INF, -INF, None, "100", True])
def test_a_quantity_is_a_finite_number_above_zero(quantity):
    assert code_of(quantity=quantity) == RejectCode.INVALID_QUANTITY


@pytest.mark.parametrize(
    ("code", "fault"),
    [
        (RejectCode.MISSING_ORDER_ID, {"order_id": ""}),
        (RejectCode.MISSING_ORDER_ID, {"order_id": None}),
        (RejectCode.MISSING_SYMBOL, {"symbol": ""}),
        (RejectCode.INVALID_DIRECTION, {"direction": "HOLD"}),
        (RejectCode.INVALID_ORDER_TYPE, {"order_type": "ICEBERG"}),
        (RejectCode.INVALID_TIME_IN_FORCE, {"time_in_force": "GTX"}),
        (RejectCode.UNEXPECTED_TRAIL, {"trail_pct": 0.1}),
        (RejectCode.UNEXPECTED_TRAIL, {"trail_amount": 1.0}),
        (RejectCode.INVALID_TRAIL, {"order_type": OrderType.TRAILING_STOP}),
        (RejectCode.INVALID_TRAIL, {"order_type": OrderType.TRAILING_STOP, "trail_pct": 0.1, "trail_amount": 1.0}),
        (RejectCode.INVALID_TRAIL, {"order_type": OrderType.TRAILING_STOP, "trail_pct": 1.0}),
        (RejectCode.INVALID_TRAIL, {"order_type": OrderType.TRAILING_STOP, "trail_amount": NAN}),
        (RejectCode.MISSING_EXPIRY, {"time_in_force": TimeInForce.GTD}),
        (RejectCode.ALREADY_EXPIRED, {"time_in_force": TimeInForce.GTD, "expire_ts": T0}),
        (RejectCode.UNEXPECTED_EXPIRY, {"expire_ts": T0 + 1}),
        (RejectCode.INVALID_POST_ONLY, {"post_only": True}),
        (RejectCode.INVALID_GROUP, {"group_type": "ALL_OR_NONE"}),
        (RejectCode.INVALID_GROUP, {"parent_id": "risk-1"}),
        (RejectCode.INVALID_GROUP, {"group_type": GroupType.OCO}),
    ],
)
def test_each_fault_has_its_code(code, fault):
    assert code_of(**fault) == code


def test_an_order_that_expires_later_has_no_fault():
    assert code_of(time_in_force=TimeInForce.GTD, expire_ts=T0 + 1) is None


def test_post_only_needs_an_order_that_can_rest():
    limit = {"order_type": OrderType.LIMIT, "limit_price": 99.0, "post_only": True}
    assert code_of(**limit) is None
    assert code_of(**limit, time_in_force=TimeInForce.IOC) == RejectCode.INVALID_POST_ONLY


def test_a_trailing_stop_may_trail_by_an_amount():
    assert code_of(order_type=OrderType.TRAILING_STOP, trail_amount=2.0) is None


def test_a_symbol_that_the_run_does_not_trade_is_unknown():
    assert code_of(stocks(), symbol="AAPL") is None
    assert code_of(stocks(), symbol="MSFT") is None
    assert code_of(stocks(), symbol="TSLA") == RejectCode.UNKNOWN_SYMBOL


def test_every_symbol_is_known_when_the_run_names_none():
    assert code_of(symbol="TSLA") is None


def test_prices_are_on_the_tick():
    limit = {"order_type": OrderType.LIMIT}
    assert code_of(stocks(tick_size=0.01), **limit, limit_price=99.99) is None
    assert code_of(stocks(tick_size=0.01), **limit, limit_price=99.995) == RejectCode.OFF_TICK
    assert code_of(stocks(tick_size=0.01), order_type=OrderType.STOP, stop_price=99.995) == RejectCode.OFF_TICK


def test_quantities_are_whole_lots():
    assert code_of(stocks(lot_size=10.0), quantity=30.0) is None
    assert code_of(stocks(lot_size=10.0), quantity=35.0) == RejectCode.OFF_LOT


def test_quantities_are_within_the_instruments_bounds():
    run = stocks(min_quantity=10.0, max_quantity=50.0)
    assert code_of(run, quantity=10.0) is None
    assert code_of(run, quantity=50.0) is None
    assert code_of(run, quantity=9.0) == RejectCode.QUANTITY_OUT_OF_BOUNDS
    assert code_of(run, quantity=51.0) == RejectCode.QUANTITY_OUT_OF_BOUNDS


def test_an_order_that_only_reduces_may_close_a_remainder_of_any_size():
    run = stocks(lot_size=10.0, min_quantity=10.0, max_quantity=50.0, tick_size=0.01)
    assert code_of(run, quantity=5.0, reduce_only=True) is None
    assert code_of(run, quantity=15.0, reduce_only=True) is None
    assert code_of(run, quantity=51.0, reduce_only=True) == RejectCode.QUANTITY_OUT_OF_BOUNDS
    limit = {"order_type": OrderType.LIMIT, "limit_price": 99.995}
    assert code_of(run, quantity=5.0, reduce_only=True, **limit) == RejectCode.OFF_TICK


def test_an_instrument_that_is_not_declared_trades_in_any_steps():
    assert OrderValidator(stocks()).steps("MSFT") == ANY_STEPS


def test_the_sentence_says_what_was_found_and_what_is_allowed():
    rejection = OrderValidator(RunSettings()).check(an_order(direction="HOLD"), T0)
    assert rejection is not None
    assert rejection.reason == "direction is 'HOLD'; known are BUY, SELL"


@given(st.integers(1, 10**9), st.sampled_from([0.01, 0.1, 0.25, 1e-8, 0.05, 1.0, 3.0]))
def test_any_number_of_steps_is_a_multiple_however_it_was_computed(count, step):
    assert is_multiple(count * step, step)
    assert is_multiple(round(count * step, 8), step)
    assert not is_multiple((count + 0.5) * step, step)


@given(st.floats(min_value=5e-324, allow_infinity=False), st.floats(min_value=0, allow_infinity=False))
def test_a_multiple_is_decided_for_steps_of_any_size(value, step):
    assert isinstance(is_multiple(value, step), bool)


def test_a_dict_that_makes_an_order_is_valid():
    assert OrderValidator.validate_order(a_dict())
    assert OrderValidator.validate_order(a_dict(order_type="LIMIT", limit_price=99.0, timestamp="now"))


@pytest.mark.parametrize("field", ["order_id", "symbol", "quantity", "direction", "order_type"])
def test_a_dict_without_a_required_field_is_not_valid(field):
    values = a_dict()
    del values[field]
    assert not OrderValidator.validate_order(values)


@pytest.mark.parametrize(
    "fault",
    [
        {"quantity": 0},
        {"quantity": -100},
        {"quantity": "100"},
        {"quantity": NAN},
        {"direction": "HOLD"},
        {"order_type": "ICEBERG"},
        {"order_type": ["LIMIT"]},
        {"order_type": "LIMIT"},
        {"limit_price": 99.0},
        {"time_in_force": "GTD", "expire_ts": "tomorrow"},
    ],
)
def test_a_dict_with_a_fault_is_not_valid(fault):
    assert not OrderValidator.validate_order(a_dict(**fault))


WORDS = st.sampled_from(["", "AAPL", *OrderType, *TimeInForce, *GroupType])
ANYTHING = st.none() | st.booleans() | st.integers() | st.floats() | WORDS | st.lists(st.integers()) | st.just({})


@given(st.dictionaries(st.sampled_from(Order.__struct_fields__), ANYTHING))
def test_whatever_the_dict_holds_the_answer_is_yes_or_no(values):
    assert OrderValidator.validate_order(a_dict(**values)) in (True, False)


def _any_of(*usual: Any) -> st.SearchStrategy[Any]:
    """The usual values more often than the odd ones."""
    return st.sampled_from((*usual, *usual, None, "", 0.0, -1.0, NAN, INF, 5, "x", True, False))


@given(
    order_id=_any_of("a-1"),
    symbol=_any_of("AAPL"),
    direction=_any_of(*Direction, "BUY"),
    quantity=_any_of(10.0, 0.5),
    order_type=_any_of(OrderType.MARKET, OrderType.LIMIT, OrderType.STOP, "LIMIT"),
    limit_price=_any_of(None, 99.0),
    stop_price=_any_of(None),
    time_in_force=_any_of(TimeInForce.GTC, TimeInForce.DAY),
    expire_ts=_any_of(None),
    trail_amount=_any_of(None),
    trail_pct=_any_of(None),
    post_only=_any_of(False),
    group_type=_any_of(GroupType.NONE),
    parent_id=_any_of(""),
)
def test_an_order_that_looks_plain_at_a_glance_has_no_fault_at_a_closer_look(**terms):
    order = Order(ts=T0, **terms)
    if validator.looks_plain(order):
        assert validator._check_terms(order, T0) is None


@pytest.mark.parametrize("terms", [{}, {"order_type": OrderType.LIMIT, "limit_price": 99.0}])
def test_usual_orders_are_seen_to_be_plain(terms):
    assert validator.looks_plain(an_order(**terms))
