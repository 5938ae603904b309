"""Many fills booked at once are what they are one by one: to the last bit."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from bus.runtime.block import Block
from bus.runtime.plain import PlainFills, PlainOrders
from bus.runtime.settings import Instrument, RunContext, RunSettings
from components.accounting.ledger import LedgerError
from components.accounting.position import DUST
from components.portfolio import Portfolio
from components.portfolio.plain import PlainBooking
from schemas import ClosedTrade, Direction, Fill, Message, PositionUpdate, Quote, ReportRequested
from schemas.codec import encode, to_builtins
from tests.support.bench import Bench
from tests.support.builders import DAY_NS, T0, a_bar, a_fill
from tests.support.states import state_of

CASH = 100_000.0


class Deal(NamedTuple):
    """A fill in one of the bars; `signed` is negative for a sale. `slippage` is for a unit, `fees` in all."""

    bar: int
    signed: float
    price: float = 100.0
    fees: float = 0.0
    slippage: float = 0.0


class Books:
    """A portfolio that has booked a fill of AAPL, which opened `held`, and a bar of it."""

    def __init__(
        self, held: float = 0.0, multiplier: float = 1.0, rate: float | None = None, fees: float = 0.0
    ) -> None:
        currency = {} if rate is None else {"currency": "EUR"}
        instrument = Instrument(symbol="AAPL", multiplier=multiplier, **currency)
        run = RunSettings(initial_cash=CASH, instruments=(instrument,))
        self.portfolio = Portfolio("portfolio", {} if rate is None else {"rates": {"EUR": rate}})
        self.bench = Bench(self.portfolio, context=RunContext(run=run))
        opening = Deal(0, held or 1.0, 99.5, fees, fees / 8)
        self.publish(a_bar(0, c=101.0), fill_of(opening, "before-1", 0))
        if not held:
            self.publish(fill_of(Deal(0, -1.0, 99.75, fees), "before-2", 0))
        self.publish(a_bar(1, c=103.0))

    def publish(self, *messages: Message) -> list[Message]:
        return self.bench.publish(*messages)

    @property
    def booking(self) -> PlainBooking:
        booking = self.portfolio.plain()
        assert booking is not None
        return booking

    @property
    def held(self) -> float:
        return self.portfolio.account.main.positions["AAPL"].quantity


FIRST = 2
"""The day of a block's first bar."""


def days(count: int, first: int = FIRST) -> Block:
    return Block(a_bar(n, c=100.0 + (7 * n) % 11 / 3) for n in range(first, first + count))


def fill_of(deal: Deal, fill_id: str, day: int) -> Fill:
    ts = T0 + day * DAY_NS
    return a_fill(
        fill_id,
        direction=Direction.BUY if deal.signed > 0 else Direction.SELL,
        quantity=abs(deal.signed),
        price=deal.price,
        commission=deal.fees,
        slippage=deal.slippage,
        ts=ts,
        bar_ts=ts,
    )


def columns(deals: Sequence[Deal], bars: Block, number: int, more: int = 0) -> tuple[PlainOrders, PlainFills]:
    """Orders and their fills, the first of which has that number; some more orders have not filled."""
    at, signed, *costs = (np.array(column) for column in zip(*deals, strict=True)) if deals else [np.zeros(0)] * 5
    signed = np.concatenate((signed, np.full(more, 77.0)))
    order_ids = [f"risk-{n}" for n in range(number, number + len(signed))]
    at = at.astype(int)
    made = np.concatenate((at - 1, np.zeros(more, int)))
    quantities, reasons = np.abs(signed), [""] * len(signed)
    orders = PlainOrders("AAPL", order_ids, made, made, signed, quantities, reasons)
    ids = [f"broker-{n}" for n in range(number, number + len(deals))]
    ts = np.array([bars[n].ts for n in at.tolist()], np.int64)
    prices, fees, slippages = costs
    return orders, PlainFills(ids, at, ts, prices, prices, slippages, fees, None, None)


def at_once(books: Books, deals: Sequence[Deal], bars: Block, start: int, end: int, number: int = 1) -> list[Message]:
    """What is said of these fills, booked together."""
    orders, fills = columns(deals, bars, number, more=2)
    accounts, trips = books.booking.take(orders, fills, bars, start, end)
    said: list[Message] = [
        PositionUpdate(ts, "AAPL", *account)
        for ts, account in zip(fills.ts.tolist(), zip(*(c.tolist() for c in accounts), strict=True), strict=True)
    ]
    for place, trip in zip(reversed(trips.fills.tolist()), reversed(list(trips.messages("AAPL"))), strict=True):
        said.insert(place + 1, trip)
    return said


def one_by_one(
    books: Books, deals: Sequence[Deal], bars: Block, start: int, end: int, number: int = 1
) -> list[Message]:
    """What is said of them when each bar and each fill comes by itself."""
    of_bar = {deal.bar: fill_of(deal, f"broker-{n}", FIRST + deal.bar) for n, deal in enumerate(deals, number)}
    said = []
    for index in range(start, end):
        books.publish(bars[index])
        if index in of_bar:
            said += [m for m in books.publish(of_bar[index]) if isinstance(m, PositionUpdate | ClosedTrade)]
    return said


def assert_same(together: Books, single: Books) -> None:
    """The same is held, and known of it, and the curve is the same."""
    assert state_of(together.portfolio.account) == state_of(single.portfolio.account)
    assert together.portfolio.marks == single.portfolio.marks
    assert together.portfolio.equity() == single.portfolio.equity()
    same_time = Quote(single.portfolio.curve.times[-1], "AAPL", 90.0, 1.0, 92.0, 1.0)
    more = [same_time, a_bar(40, c=95.0), fill_of(Deal(0, 3.0, 96.0, 0.5, 0.25), "after", 40), a_bar(41, c=97.0)]
    assert list(map(encode, together.publish(*more))) == list(map(encode, single.publish(*more)))
    curves = [books.portfolio.curve.take_blocks(rest=True) for books in (together, single)]
    assert list(map(to_builtins, curves[0])) == list(map(to_builtins, curves[1]))
    report = ReportRequested(T0 + 42 * DAY_NS)
    assert together.publish(report) == single.publish(report)


@st.composite
def signed_quantities(draw: st.DrawFn, held: float, most: int) -> list[float]:
    """Quantities that open a position, close it, or turn it round."""
    sizes = st.integers(1, 500).map(float) | st.floats(0.001, 100.0)
    signed = []
    for _ in range(draw(st.integers(0, most))):
        rest = draw(st.sampled_from([0.0, 1.0])) * draw(sizes)
        if not held:
            units = (rest or draw(sizes)) * draw(st.sampled_from([1, -1]))
        else:
            units = -held - (rest if held > 0 else -rest)
        signed.append(units)
        held += units
    return signed


PRICES = st.floats(0.5, 500.0) | st.sampled_from([100.0, 0.1, -3.0, 0.0])
FEES = st.floats(-1.0, 20.0) | st.just(0.0)
SLIPPAGES = st.floats(-0.05, 0.5) | st.just(0.0)
SETTINGS = st.fixed_dictionaries(
    {
        "held": st.sampled_from([0.0, 10.0, -10.0, 0.3, -1e-3]),
        "multiplier": st.sampled_from([1.0, 50.0, 0.01]),
        "rate": st.sampled_from([None, 1.25, 0.007]),
        "fees": st.sampled_from([0.0, 2.5]),
    }
)


@settings(max_examples=200)
@given(SETTINGS, st.data())
def test_fills_that_open_close_and_turn_round_are_booked_as_one_by_one(options, data):
    together, single = Books(**options), Books(**options)
    start, bars = 0, days(30)
    for number in (1, 100):
        end = data.draw(st.integers(start + 1, 15 if number == 1 else 30))
        signed = data.draw(signed_quantities(together.held, end - start))
        at = sorted(data.draw(st.permutations(range(start, end)))[: len(signed)])
        deals = [
            Deal(bar, units, data.draw(PRICES), data.draw(FEES), data.draw(SLIPPAGES))
            for bar, units in zip(at, signed, strict=True)
        ]
        deals = deals[: together.booking.count("AAPL", signed, len(signed))]
        said = at_once(together, deals, bars, start, end, number)
        expected = one_by_one(single, deals, bars, start, end, number)
        assert said == expected
        assert list(map(encode, said)) == list(map(encode, expected)), "also the signs of zeros"
        start = end
    assert_same(together, single)


OPENED, CLOSED = [Deal(0, 10.0, 100.0, 1.0, 0.1)], [Deal(0, 10.0, 100.0, 1.0, 0.1), Deal(3, -10.0, 104.0, 1.0, 0.1)]
TURNED = [Deal(0, 10.0, 100.0, 1.0, 0.1), Deal(1, -25.0, 104.0, 5.0, 0.1), Deal(2, 15.0, 98.0, 3.0, 0.2)]


@pytest.mark.parametrize("deals", [[], OPENED, CLOSED, TURNED, TURNED[:2]], ids=lambda deals: f"{len(deals)} fills")
@pytest.mark.parametrize(("start", "end"), [(0, 4), (0, 9)])
def test_bars_with_and_without_fills_make_the_same_curve(deals, start, end):
    together, single, bars = Books(), Books(), days(12)
    assert at_once(together, deals, bars, start, end) == one_by_one(single, deals, bars, start, end)
    assert_same(together, single)


TOO_LARGE = pytest.mark.parametrize(
    "deals",
    [
        [Deal(0, 1e200, 1e200)],
        [Deal(0, 1e200, 1e200), Deal(1, -1e200, 1e200)],
        [Deal(0, 1e308), Deal(1, -1e308, 120.0)],
    ],
    ids=["held", "closed", "bars"],
)


@TOO_LARGE
@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_values_that_are_too_large_are_booked_as_one_by_one(deals):
    together, single, bars = Books(), Books(), days(5)
    said, expected = at_once(together, deals, bars, 0, 3), one_by_one(single, deals, bars, 0, 3)
    assert list(map(encode, said)) == list(map(encode, expected))


@TOO_LARGE
def test_values_that_are_too_large_are_not_warned_of(deals):
    one_by_one(Books(), deals, days(5), 0, 3)
    at_once(Books(), deals, days(5), 0, 3)


def test_what_a_fill_closes_is_a_round_trip():
    books = Books()
    said = at_once(books, CLOSED, days(5), 0, 5)
    opened, closed, trip = said
    # The account had gained 0.25 with the position before.
    assert opened == PositionUpdate(T0 + 2 * DAY_NS, "AAPL", 10.0, 100.0, 0.25, CASH + 0.25 - 1_001.0, 1.0)
    assert closed == PositionUpdate(T0 + 5 * DAY_NS, "AAPL", 0.0, 0.0, 38.25, CASH + 38.25, 2.0)
    assert (trip.trade_id, trip.direction, trip.quantity, trip.realised_pnl) == ("portfolio-2", "BUY", 10.0, 38.0)
    assert (trip.entry_fill_id, trip.exit_fill_id, trip.fees, trip.slippage_cost) == ("broker-1", "broker-2", 2.0, 2.0)


def test_who_turns_a_position_round_pays_for_both_parts_by_quantity():
    said = at_once(Books(), TURNED, days(5), 0, 5)
    trips = [message for message in said if isinstance(message, ClosedTrade)]
    assert [(trip.direction, trip.quantity, trip.fees) for trip in trips] == [("BUY", 10.0, 3.0), ("SELL", 15.0, 6.0)]


def test_a_fill_that_was_booked_with_others_is_not_booked_again():
    together, single, bars = Books(), Books(), days(5)
    at_once(together, CLOSED, bars, 0, 5)
    one_by_one(single, CLOSED, bars, 0, 5)
    for books in (together, single):
        before = books.portfolio.equity()
        books.publish(fill_of(CLOSED[1], "broker-2", 7))
        assert books.portfolio.equity() == before
    assert_same(together, single)


def test_books_that_do_not_add_up_are_an_error():
    books = Books()
    books.portfolio.account.main.positions["AAPL"].bought += 5.0
    with pytest.raises(LedgerError, match=r"position AAPL: 10.0 is held, but 16.0 was bought and 1.0 sold"):
        at_once(books, OPENED, days(5), 0, 5)


def counted(held: float, signed: Sequence[float]) -> int:
    """How many of them are no addition and no reduction, by what `Position` does with each."""
    for number, units in enumerate(signed):
        rest = held + units
        adds = held and (held > 0) == (units > 0)
        reduces = held and rest and (held > 0) != (units > 0) and abs(units) < abs(held)
        dust = held and rest and abs(rest) <= DUST * abs(units)
        if adds or reduces or dust:
            return number
        held = rest
    return len(signed)


UNITS = st.sampled_from([1.0, -1.0, 2.0, -2.0, 3.0, -3.0, 0.1, -0.1, 0.2, -0.30000000000000004])


@given(st.sampled_from([0.0, 1.0, -2.0, 0.1]), st.lists(UNITS, max_size=8))
@example(1.0, [-1.0, 2.0, -3.0, 1.0, 1.0])
@example(-2.0, [1.0])
@example(0.1, [0.2])
def test_fills_count_up_to_the_first_that_adds_to_a_position_or_reduces_it(held, signed):
    books = Books(held=held)
    count = books.booking.count("AAPL", signed, len(signed))
    assert count == counted(held, signed)
    for most in range(len(signed) + 1):
        assert books.booking.count("AAPL", signed, most) == min(most, count)


@pytest.mark.parametrize(
    ("held", "signed", "count"),
    [
        (0.0, [1.0, -1.0, -1.0, 2.0, -1.0], 5),
        (0.0, [1.0, 1.0], 1),
        (0.0, [-1.0, -0.001], 1),
        (5.0, [-4.999, 1.0], 0),
        (5.0, [-5.0, 1.0, -0.5], 2),
        (-5.0, [10.0, -5.0, 3.0, -4.0, 0.5], 4),
        (0.0, [0.3, -0.1 - 0.2], 1),
    ],
    ids=["all", "adds", "adds short", "reduces", "reduces later", "reduces a short one", "leaves dust"],
)
def test_fills_that_count_are_these(held, signed, count):
    assert Books(held=held).booking.count("AAPL", signed, len(signed)) == count


def test_to_count_changes_nothing():
    books = Books()
    before = state_of(books.portfolio.account)
    books.booking.count("AAPL", [1.0, -2.0, 1.0, 1.0], 4)
    assert state_of(books.portfolio.account) == before


LATER = Block([a_bar(9)]), 0


@pytest.mark.parametrize("held", [0.0, 10.0, -10.0])
def test_fills_of_the_only_symbol_that_is_held_may_be_booked_at_once(held):
    books = Books(held=held)
    assert books.booking.is_ready(*LATER, "AAPL")
    assert not books.booking.is_ready(*LATER, "MSFT"), "nothing is known of it"


@pytest.mark.parametrize("held", [0.0, 10.0])
def test_nothing_is_booked_at_once_while_something_else_is_held(held):
    books = Books(held=held)
    books.publish(a_bar(2, symbol="MSFT"), a_fill("m-1", symbol="MSFT", ts=T0 + 2 * DAY_NS))
    assert not books.booking.is_ready(*LATER, "AAPL")
    assert books.booking.is_ready(*LATER, "MSFT") is not bool(held)
    books.publish(a_fill("m-2", symbol="MSFT", direction=Direction.SELL, ts=T0 + 2 * DAY_NS))
    assert books.booking.is_ready(*LATER, "AAPL")


def test_nothing_is_booked_at_once_in_a_currency_without_a_rate():
    instrument = Instrument(symbol="AAPL", currency="EUR")
    portfolio = Portfolio("portfolio")
    bench = Bench(portfolio, context=RunContext(run=RunSettings(instruments=(instrument,))))
    bench.publish(a_bar(), a_fill())
    booking = portfolio.plain()
    assert booking is not None
    assert not booking.is_ready(*LATER, "AAPL")
    assert Books(rate=1.25).booking.is_ready(*LATER, "AAPL")


@pytest.mark.parametrize(("parameters", "books"), [({}, True), ({"curve_interval_s": 60.0}, False)])
def test_only_a_portfolio_with_a_whole_curve_books_at_once(parameters: dict[str, Any], books):
    portfolio = Portfolio("portfolio", parameters)
    Bench(portfolio)
    assert (portfolio.plain() is not None) is books
