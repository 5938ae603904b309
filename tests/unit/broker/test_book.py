from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bus.runtime.block import Block
from bus.runtime.settings import Instrument
from components.broker.book import ARRIVE, CANCEL, EXPIRE, Action, Book
from components.broker.working import Working
from schemas import Direction, OrderType
from tests.support.builders import DAY_NS, T0, a_bar, an_order

BUY, SELL = Direction.BUY, Direction.SELL


def a_book() -> Book:
    return Book(Instrument(symbol="AAPL"))


def placed(book: Book, number: int, rested: bool = True, **terms) -> Working:
    order = Working.of(an_order(f"risk-{number}", **terms), number)
    order.rested, order.arrived = rested, True
    book.place(order)
    return order


def found(book: Book, low: float, high: float) -> list[str]:
    return [order.order.order_id for order in book.reached(low, high)]


@pytest.mark.parametrize(
    ("terms", "fires_at"),
    [
        ({"direction": BUY, "order_type": OrderType.LIMIT, "limit_price": 95.0}, "low"),
        ({"direction": SELL, "order_type": OrderType.STOP, "stop_price": 95.0}, "low"),
        ({"direction": SELL, "order_type": OrderType.STOP_LIMIT, "stop_price": 95.0, "limit_price": 94.0}, "low"),
        ({"direction": BUY, "order_type": OrderType.MARKET_IF_TOUCHED, "stop_price": 95.0}, "low"),
        ({"direction": BUY, "order_type": OrderType.LIMIT_IF_TOUCHED, "stop_price": 95.0, "limit_price": 96.0}, "low"),
        ({"direction": SELL, "order_type": OrderType.LIMIT, "limit_price": 105.0}, "high"),
        ({"direction": BUY, "order_type": OrderType.STOP, "stop_price": 105.0}, "high"),
        ({"direction": SELL, "order_type": OrderType.MARKET_IF_TOUCHED, "stop_price": 105.0}, "high"),
    ],
)
def test_an_order_is_found_by_the_price_that_it_waits_for(terms, fires_at):
    book = a_book()
    placed(book, 1, **terms)
    quiet, reaching = a_bar(h=104.9, low=95.1), a_bar(h=105.0, low=95.0)
    assert book.is_idle(quiet.low, quiet.high, quiet.ts)
    assert found(book, 95.1, 104.9) == []
    assert not book.is_idle(reaching.low, reaching.high, reaching.ts)
    assert found(book, *((95.0, 104.9) if fires_at == "low" else (95.1, 105.0))) == ["risk-1"]


def test_orders_come_in_the_order_of_price_then_arrival():
    book = a_book()
    for number, limit in ((1, 97.0), (2, 99.0), (3, 97.0), (4, 90.0)):
        placed(book, number, order_type=OrderType.LIMIT, limit_price=limit)
    assert found(book, 95.0, 100.0) == ["risk-2", "risk-1", "risk-3"]


def test_a_removed_order_is_not_found():
    book = a_book()
    orders = [placed(book, n, order_type=OrderType.LIMIT, limit_price=97.0) for n in (1, 2, 3)]
    book.remove(orders[1])
    book.remove(orders[1])
    assert found(book, 95.0, 100.0) == ["risk-1", "risk-3"]


@pytest.mark.parametrize("kind", [OrderType.MARKET, OrderType.TRAILING_STOP, OrderType.MARKET_ON_OPEN])
def test_restless_orders_are_found_by_every_bar(kind):
    book = a_book()
    order = placed(book, 1, order_type=kind, trail_amount=1.0)
    assert not book.is_idle(100.0, 100.0, T0)
    assert found(book, 100.0, 100.0) == ["risk-1"]
    book.remove(order)
    assert book.is_idle(100.0, 100.0, T0)


def test_a_limit_order_that_is_to_meet_its_first_price_is_found_by_every_bar():
    book = a_book()
    order = placed(book, 1, rested=False, order_type=OrderType.LIMIT, limit_price=90.0)
    assert found(book, 100.0, 100.0) == ["risk-1"]
    book.remove(order)
    assert found(book, 90.0, 90.0) == []


def test_orders_on_the_close_are_kept_apart():
    book = a_book()
    placed(book, 1, order_type=OrderType.MARKET_ON_CLOSE)
    assert (list(book.at_close), list(book.restless)) == (["risk-1"], [])


def test_actions_are_due_in_the_order_of_time_then_number():
    book = a_book()
    order = Working.of(an_order(), 1)
    for action in (Action(20, 1, CANCEL, order), Action(10, 3, EXPIRE, order), Action(10, 2, ARRIVE, order)):
        book.schedule(action)
    assert [action.number for action in book.due(10, arrivals=True)] == [2, 3]
    assert [action.number for action in book.due(30, arrivals=True)] == [1]


def test_arrivals_may_be_left_for_later():
    book = a_book()
    order = Working.of(an_order(), 1)
    book.schedule(Action(10, 1, ARRIVE, order))
    book.schedule(Action(11, 2, CANCEL, order))
    assert [action.what for action in book.due(11, arrivals=False)] == [CANCEL]
    assert [action.what for action in book.due(11, arrivals=True)] == [ARRIVE]


def test_an_agenda_makes_a_bar_busy_when_its_time_has_come():
    book = a_book()
    book.schedule(Action(100, 1, EXPIRE, Working.of(an_order(), 1)))
    assert book.is_idle(100.0, 100.0, 99)
    assert not book.is_idle(100.0, 100.0, 100)


def test_the_shortest_time_between_bars_is_taken_for_their_length():
    book = a_book()
    assert book.interval == 0
    for day in (0, 3, 4, 7):
        book.observe(a_bar(day))
    assert book.interval == DAY_NS
    assert (book.previous_ts, book.last_ts) == (T0 + 4 * DAY_NS, T0 + 7 * DAY_NS)


@given(
    before=st.lists(st.integers(0, 3), max_size=3),
    gaps=st.lists(st.integers(0, 3), min_size=1, max_size=8),
)
def test_bars_observed_at_once_leave_a_book_as_one_by_one(before, gaps):
    one_by_one, at_once = a_book(), a_book()
    bars = [a_bar(ts=T0 + ts) for ts in itertools.accumulate([*before, *gaps])]
    for book in (one_by_one, at_once):
        for bar in bars[: len(before)]:
            book.observe(bar)
    for bar in bars[len(before) :]:
        one_by_one.observe(bar)
    at_once.observe_all(Block(bars), len(before), len(bars))
    for name in ("last", "last_ts", "previous_ts", "interval", "market"):
        assert getattr(one_by_one, name) == getattr(at_once, name)


terms_of = st.one_of(
    st.fixed_dictionaries(
        {"order_type": st.just(OrderType.LIMIT), "limit_price": st.sampled_from((95.0, 99.0, 103.0))}
    ),
    st.fixed_dictionaries({"order_type": st.just(OrderType.STOP), "stop_price": st.sampled_from((96.0, 100.0, 104.0))}),
    st.sampled_from(({"order_type": OrderType.MARKET}, {"order_type": OrderType.MARKET_ON_CLOSE})),
)


@given(
    steps=st.lists(st.tuples(st.booleans(), st.sampled_from(Direction), terms_of, st.integers(0, 9)), max_size=20),
    prices=st.tuples(st.integers(93, 106), st.integers(0, 8)),
)
def test_a_book_is_reached_where_it_finds_an_order(steps, prices):
    book, orders = a_book(), []
    low, high = float(prices[0]), float(sum(prices))
    for number, (comes, direction, terms, which) in enumerate(steps, 1):
        if comes:
            orders.append(placed(book, number, direction=direction, **terms))
        elif orders:
            book.remove(orders.pop(which % len(orders)))
        assert book.is_reached(low, high) == bool(book.reached(low, high))
