from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bus.runtime.settings import Instrument
from components.broker.fills import FREE, Costs, round_against
from schemas import Bar, Direction, Fill, Liquidity, Order, OrderType
from tests.support.builders import T0, a_bar, an_order


class ByOne:
    """Slippage of one currency unit; remembers what it was asked."""

    def __init__(self) -> None:
        self.asked: list[tuple[float, Direction, float, Bar | None, str]] = []

    def apply_slippage(
        self, price: float, direction: Direction, quantity: float, *, bar: Bar | None, symbol: str
    ) -> float:
        self.asked.append((price, direction, quantity, bar, symbol))
        return price + direction.sign


def charged(
    costs: Costs, order: Order, bar: Bar, quantity: float, liquidity: Liquidity = Liquidity.TAKER, tick: float = 0.0
) -> Fill:
    at = quantity, 100.0, 0.0, T0, "broker", "market_open", 100.0, 0.0, bar.ts, order.quantity - quantity, liquidity
    plain = Fill("broker-1", order.order_id, order.symbol, order.direction, *at)
    return costs.charge(plain, order, Instrument(symbol="AAPL", tick_size=tick), bar)


def write(liquidity: Liquidity = Liquidity.TAKER, within_bar: bool = False, tick: float = 0.0, **terms) -> Fill:
    costs = Costs(ByOne(), FREE.commission, within_bar)
    return charged(costs, an_order(**terms), a_bar(h=100.5, low=99.5), 40.0, liquidity, tick)


@pytest.mark.parametrize(
    ("price", "tick", "sign", "expected"),
    [
        (100.01, 0.05, 1, 100.05),
        (100.04, 0.05, -1, 100.0),
        (100.05, 0.05, 1, 100.05),
        (100.05, 0.05, -1, 100.05),
        (1001 * 0.1, 0.1, 1, 100.1),
        (1001 * 0.1, 0.1, -1, 100.1),
        (100.0, 3.0, 1, 102.0),
        (1.23511725e-8, 1e-12, 1, 1.2352e-8),
        (1.23511725e-8, 1e-12, -1, 1.2351e-8),
        (-37.013, 0.01, 1, -37.01),
    ],
)
def test_a_price_is_rounded_to_the_tick_against_the_trader(price, tick, sign, expected):
    assert round_against(price, tick, sign) == expected


@given(price=st.floats(0.01, 1e5), tick=st.sampled_from((0.01, 0.05, 0.25, 1.0)), sign=st.sampled_from((1, -1)))
def test_rounding_moves_less_than_a_tick_and_never_in_favour(price, tick, sign):
    rounded = round_against(price, tick, sign)
    assert -1e-6 * tick - 1e-9 <= sign * (rounded - price) < tick


def test_a_taker_pays_slippage_and_a_maker_does_not():
    assert (write().price, write().slippage) == (101.0, 1.0)
    assert (write(Liquidity.MAKER).price, write(Liquidity.MAKER).slippage) == (100.0, 0.0)
    assert write(direction=Direction.SELL).price == 99.0


def test_the_limit_bounds_what_slippage_does():
    limited = {"order_type": OrderType.LIMIT, "limit_price": 100.3}
    assert write(**limited).price == 100.3
    assert write(order_type=OrderType.LIMIT, limit_price=99.8, direction=Direction.SELL).price == 99.8


def test_slippage_may_be_kept_inside_the_bar():
    assert write(within_bar=True).price == 100.5
    assert write(within_bar=True, direction=Direction.SELL).price == 99.5


def test_the_limit_goes_before_the_tick():
    assert write(order_type=OrderType.LIMIT, limit_price=100.7, tick=0.5).price == 100.7


def test_the_slippage_model_is_asked_about_this_fill():
    slippage = ByOne()
    bar = a_bar()
    charged(Costs(slippage, FREE.commission), an_order(), bar, 40.0)
    assert slippage.asked == [(100.0, Direction.BUY, 40.0, bar, "AAPL")]


def test_without_costs_a_fill_is_at_the_markets_price():
    made = charged(FREE, an_order(), a_bar(), 1.0)
    assert (made.price, made.slippage, made.commission, made.fees) == (100.0, 0.0, 0.0, ())
