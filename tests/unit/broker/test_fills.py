from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bus.runtime.settings import Instrument
from components.broker.fills import FREE, Costs, FillWriter, round_against
from components.broker.market import Budget
from components.broker.working import Working
from schemas import Bar, Direction, Fill, Liquidity, OrderType
from tests.support.builders import T0, a_bar, an_order

AAPL = Instrument(symbol="AAPL")


class ByOne:
    """Slippage of one currency unit; remembers what it was asked."""

    def __init__(self) -> None:
        self.asked: list[tuple[float, Direction, float, Bar | None, str]] = []

    def apply_slippage(
        self, price: float, direction: Direction, quantity: float, *, bar: Bar | None, symbol: str
    ) -> float:
        self.asked.append((price, direction, quantity, bar, symbol))
        return price + direction.sign


def write(liquidity: Liquidity = Liquidity.TAKER, within_bar: bool = False, tick: float = 0.0, **terms) -> Fill:
    order = Working.of(an_order(**terms), 1)
    writer = FillWriter("broker", Costs(ByOne(), FREE.commission, within_bar))
    return fill(writer, order, a_bar(h=100.5, low=99.5), 40.0, liquidity, Instrument(symbol="AAPL", tick_size=tick))


def fill(
    writer: FillWriter,
    order: Working,
    bar: Bar,
    quantity: float,
    liquidity: Liquidity = Liquidity.TAKER,
    instrument: Instrument = AAPL,
) -> Fill:
    left, rule, budget = order.quantity - quantity, "market_open", Budget(1_000.0)
    return writer.write(order, quantity, left, 100.0, rule, liquidity, budget, bar.ts, bar, instrument, T0)


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


def test_a_fill_says_what_it_took_from_the_budget():
    made = write()
    assert (made.quantity, made.budget_before, made.budget_after) == (40.0, 1_000.0, 960.0)


def test_the_slippage_model_is_asked_about_this_fill():
    slippage = ByOne()
    order = Working.of(an_order(), 1)
    bar = a_bar()
    fill(FillWriter("broker", Costs(slippage, FREE.commission)), order, bar, 40.0)
    assert slippage.asked == [(100.0, Direction.BUY, 40.0, bar, "AAPL")]


def test_fills_are_numbered():
    writer = FillWriter("broker", FREE)
    order = Working.of(an_order(), 1)
    fills = [fill(writer, order, a_bar(), 1.0) for _ in range(2)]
    assert [made.fill_id for made in fills] == ["broker-1", "broker-2"]
    assert {made.commission for made in fills} == {0.0}
