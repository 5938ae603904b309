import itertools
from collections import Counter
from collections.abc import Container
from unittest import mock

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bus.runtime.plain import PlainFills, PlainOrders
from bus.runtime.resting import Came, Cancelled, RestingOrders
from components.order_manager.book import OrderBook
from components.order_manager.lifecycle import FINAL_STATES
from components.order_manager.record import OrderRecord, cancelled, fill_whole
from components.order_manager.resting import RestingRouting
from components.order_manager.unmade import CancelledOrders, FilledOrders
from schemas import Direction, GroupType, OrderState, OrderType
from tests.support.builders import DAY_NS, T0, an_order
from tests.support.states import state_of
from tests.support.tracing import traced


def a_record(book: OrderBook, order_id: str, state: OrderState = OrderState.ROUTED, **order) -> OrderRecord:
    record = OrderRecord(an_order(order_id, **order))
    book.add(record)
    move(book, record, state)
    return record


def move(book: OrderBook, record: OrderRecord, state: OrderState) -> None:
    was_final, record.state = record.is_final, state
    if record.is_final and not was_final:
        book.complete(record)


def ids(records: list[OrderRecord]) -> list[str]:
    return [record.order.order_id for record in records]


def test_an_order_is_found_by_its_id_while_it_works_and_after():
    book = OrderBook(10)
    record = a_record(book, "a")
    assert book.get("a") is record
    move(book, record, OrderState.FILLED)
    assert book.get("a") is record
    assert book.get("b") is None


@pytest.mark.parametrize("state", sorted(FINAL_STATES))
def test_an_order_in_a_final_state_is_completed(state):
    book = OrderBook(10)
    a_record(book, "a", state)
    assert (list(book.active), list(book.completed)) == ([], ["a"])


def test_an_order_that_fills_after_its_cancel_stays_where_it_was_among_the_completed():
    book = OrderBook(10)
    late = a_record(book, "late", OrderState.CANCELLED)
    a_record(book, "other", OrderState.FILLED)
    move(book, late, OrderState.FILLED)
    assert list(book.completed) == ["late", "other"]
    assert ids(book.find(state=OrderState.FILLED)) == ["late", "other"]
    assert not book.find(state=OrderState.CANCELLED)


def test_orders_are_found_by_symbol_and_by_state():
    book = OrderBook(10)
    a_record(book, "done", OrderState.FILLED)
    a_record(book, "works")
    a_record(book, "other", symbol="MSFT")
    assert ids(book.find()) == ["works", "other", "done"]
    assert ids(book.find(symbol="AAPL")) == ["works", "done"]
    assert ids(book.find(state=OrderState.ROUTED)) == ["works", "other"]
    assert ids(book.find(symbol="AAPL", state=OrderState.FILLED)) == ["done"]
    assert not book.find(symbol="TSLA")


def test_working_orders_come_in_order_of_arrival():
    book = OrderBook(10)
    for order_id, symbol in [("c", "AAPL"), ("a", "MSFT"), ("b", "AAPL")]:
        a_record(book, order_id, symbol=symbol)
    assert ids(book.working("")) == ["c", "a", "b"]
    assert ids(book.working("AAPL")) == ["c", "b"]


def test_the_oldest_completed_orders_are_forgotten_first():
    book = OrderBook(2)
    for n in range(5):
        a_record(book, f"a-{n}", OrderState.FILLED)
    assert list(book.completed) == ["a-3", "a-4"]
    assert book.dropped == 3
    assert ids(book.find(symbol="AAPL")) == ["a-3", "a-4"]
    assert ids(book.find(state=OrderState.FILLED)) == ["a-3", "a-4"]


def test_working_orders_are_never_forgotten():
    book = OrderBook(1)
    for n in range(5):
        a_record(book, f"a-{n}")
    assert len(book.active) == 5


def test_children_and_siblings_are_found_until_they_are_forgotten():
    book = OrderBook(1)
    group = {"group_id": "g", "group_type": GroupType.BRACKET, "direction": Direction.SELL, "parent_id": "entry"}
    target, stop = a_record(book, "target", **group), a_record(book, "stop", **group)
    assert ids(book.children("entry")) == ["target", "stop"]
    assert book.siblings(target) == [stop]
    move(book, stop, OrderState.CANCELLED)
    a_record(book, "another", OrderState.FILLED)
    assert ids(book.children("entry")) == ["target"]
    assert book.siblings(target) == []


def test_only_oco_orders_and_the_children_of_one_bracket_exclude_each_other():
    book = OrderBook(10)
    oco = a_record(book, "a", group_id="g", group_type=GroupType.OCO)
    a_record(book, "b", group_id="h", group_type=GroupType.OCO)
    a_record(book, "c", group_id="g", group_type=GroupType.OTO)
    twin = a_record(book, "d", group_id="g", group_type=GroupType.OCO)
    child = a_record(book, "e", group_id="g", group_type=GroupType.OTO, parent_id="c")
    a_record(book, "f", group_id="g", group_type=GroupType.OTO, parent_id="c")
    assert book.siblings(oco) == [twin]
    assert book.siblings(child) == []


def test_nothing_is_left_of_orders_that_are_forgotten():
    book = OrderBook(1)
    for n in range(100):
        order = {"symbol": f"S{n}", "group_id": f"g{n}", "group_type": GroupType.OCO, "parent_id": f"p{n}"}
        a_record(book, f"a-{n}", OrderState.FILLED, **order)
    sizes = {name: len(value) for name, value in vars(book).items() if isinstance(value, dict)}
    assert sizes == {"active": 0, "_completed": 1, "by_parent": 1, "_by_group": 1}


def test_the_average_of_equal_prices_is_that_price():
    record = OrderRecord(an_order())
    for n in range(30):
        record.add_fill(f"f-{n}", 0.1, 100.1)
    assert record.average_price == 100.1


def test_the_average_is_weighted_by_quantity():
    record = OrderRecord(an_order())
    record.add_fill("f-1", 30.0, 10.0)
    record.add_fill("f-2", 10.0, 20.0)
    assert (record.filled_quantity, record.average_price) == (40.0, 12.5)


def test_a_fill_is_known_by_its_id():
    record = OrderRecord(an_order())
    assert record.fill_ids == set() and not record.has_fill("f-0")
    for n in range(3):
        record.add_fill(f"f-{n}", 10.0, 100.0)
        assert record.fill_ids == {f"f-{m}" for m in range(n + 1)}
        assert [record.has_fill(f"f-{m}") for m in range(4)] == [m <= n for m in range(4)]


def test_the_dust_of_binary_fractions_leaves_nothing_to_fill():
    record = OrderRecord(an_order(quantity=0.3))
    record.add_fill("f-1", 0.1, 10.0)
    assert record.remainder(0.3) == pytest.approx(0.2)
    record.add_fill("f-2", 0.2, 10.0)
    assert record.filled_quantity != 0.3
    assert record.remainder(0.3) == 0.0
    assert record.remainder(0.2) < 0


def test_handling_an_order_runs_the_same_number_of_lines_however_many_went_before():
    book = OrderBook(100)

    def lines_of_one_order(order_id: str) -> int:
        count = 0

        def trace(frame, event, arg):
            nonlocal count
            count += event == "line"
            return trace

        with traced(trace):
            move(book, a_record(book, order_id), OrderState.FILLED)
        return count

    for n in range(200):
        a_record(book, f"a-{n}", OrderState.FILLED)
    early = lines_of_one_order("early")
    for n in range(5_000):
        a_record(book, f"b-{n}", OrderState.FILLED)
    assert lines_of_one_order("late") == early


def filled_orders(first: int, count: int, waiting: int = 0) -> FilledOrders:
    """So many orders that have filled, each on the day after it was made, and some more that have not."""
    numbers = np.arange(first, first + count + waiting)
    signed = np.where(numbers % 2, 10.0, -10.0) + numbers
    order_ids, fill_ids = ([f"{name}-{n}" for n in numbers.tolist()] for name in ("risk", "broker"))
    made, reasons = T0 + numbers * DAY_NS, [f"because of {n % 3}" for n in numbers.tolist()]
    orders = PlainOrders("AAPL", order_ids, numbers, made, signed, np.abs(signed), reasons)
    prices, none = 100.0 + numbers[:count] / 8, np.zeros(count)
    filled = made[:count] + DAY_NS
    fills = PlainFills(fill_ids[:count], numbers[:count] + 1, filled, prices, prices, none, none, None, None)
    return FilledOrders(orders, fills, "broker")


def complete_each(book: OrderBook, filled: FilledOrders) -> None:
    """What `complete_unmade` does, order by order."""
    fills = filled.fills
    for n, fill_id in enumerate(fills.ids):
        order = filled.orders.order(n)
        record = OrderRecord(order)
        book.add(record)
        record.state, record.broker, record.routed_ns = OrderState.ROUTED, filled.broker, order.ts
        fill_whole(record, fill_id, fills.prices[n].item(), fills.ts[n].item())
        book.complete(record)


def cancelled_orders(first: int, count: int, left: int = 0) -> RestingOrders:
    """So many orders that were cancelled, each on the day after it came, and some more that were not."""
    numbers = range(first, first + count + left)
    orders = [an_order(f"risk-{n}", order_type=OrderType.LIMIT, limit_price=90.0, ts=T0 + n * DAY_NS) for n in numbers]
    came = {order.order_id: Came(order, order.ts) for order in orders}
    ended = {order.order_id: Cancelled(f"because of {order.order_id}", order.ts + DAY_NS) for order in orders[:count]}
    return RestingOrders("AAPL", [], orders[-1].ts + DAY_NS, came, ended)


def cancel_each(book: OrderBook, resting: RestingOrders, broker: str) -> None:
    """What `RestingRouting.take` does, order by order, but that all come before any is cancelled."""
    for came in resting.came.values():
        record = OrderRecord(came.order)
        book.add(record)
        record.state, record.broker, record.routed_ns = OrderState.ROUTED, broker, came.ts
    for order_id, end in resting.cancelled.items():
        record = book.active[order_id]
        record.state = OrderState.CANCELLED
        record.add_step(cancelled(order_id, "AAPL", end.ts, end.reason))
        book.complete(record)


def take_together(book: OrderBook, resting: RestingOrders, broker: str) -> None:
    RestingRouting(book, None, Counter()).take(resting, broker)


def split(resting: RestingOrders) -> tuple[RestingOrders, RestingOrders]:
    """The same in two stretches: in the first one every second order comes, and in the second all else is done."""
    second = dict(itertools.islice(resting.came.items(), 0, None, 2))
    first = {order_id: came for order_id, came in resting.came.items() if order_id not in second}
    return resting._replace(came=first, cancelled={}), resting._replace(came=second)


def test_orders_that_were_cancelled_together_are_known_as_if_each_had_been():
    book, single = OrderBook(10), OrderBook(10)
    for stretch in split(cancelled_orders(1, 5, left=2)):
        take_together(book, stretch, "broker")
        cancel_each(single, stretch, "broker")
    assert list(book.active) == ["risk-6", "risk-7"]
    assert state_of(list(book.completed)) == state_of(["risk-1", "risk-2", "risk-3", "risk-4", "risk-5"])
    for order_id in (*book.completed, *book.active):
        one, other = book.get(order_id), single.get(order_id)
        assert (state_of(one), one.history) == (state_of(other), other.history)
    assert [step.reason for step in book.get("risk-2").history] == ["", "", "", "because of risk-2"]


def numbers_in(ended: tuple[Container[str], ...]) -> list[int]:
    """The orders, of the first ten, whose ids are in one of these."""
    return [n for n in range(1, 11) if any(f"risk-{n}" in ids for ids in ended)]


def test_it_is_told_whether_an_order_has_ended_before_there_is_a_record_of_it():
    book = OrderBook(3)
    with mock.patch.object(CancelledOrders, "records", side_effect=AssertionError("nobody asked")):
        take_together(book, cancelled_orders(1, 2, left=1), "broker")
        ended = book.ended()
        assert numbers_in(ended) == [1, 2]
        take_together(book, cancelled_orders(4, 2), "broker")
        assert numbers_in(ended) == [2, 4, 5], "the first one is forgotten"
    assert list(book.completed) == ["risk-2", "risk-4", "risk-5"]
    assert numbers_in(ended) == [2, 4, 5]
    book.complete_unmade(filled_orders(6, 1))
    assert numbers_in(book.ended()) == [4, 5, 6]


def test_of_a_stretch_in_which_nothing_is_cancelled_only_what_works_is_kept():
    book = OrderBook(3)
    take_together(book, cancelled_orders(1, 0, left=2), "broker")
    assert (list(book.active), book.completed_count, list(book._unmade._parts)) == (["risk-1", "risk-2"], 0, [])


def test_orders_that_filled_together_are_known_as_if_each_had_been_completed():
    book = OrderBook(10)
    book.complete_unmade(filled_orders(1, 3, waiting=1))
    assert list(book.completed) == ["risk-1", "risk-2", "risk-3"]
    record = book.get("risk-2")
    order = an_order("risk-2", direction=Direction.SELL, quantity=8.0, ts=T0 + 2 * DAY_NS, reason="because of 2")
    assert (record.order, record.state, record.fill_ids) == (order, OrderState.FILLED, {"broker-2"})
    assert (record.filled_quantity, record.average_price, record.broker) == (8.0, 100.25, "broker")
    made, filled = T0 + 2 * DAY_NS, T0 + 3 * DAY_NS
    assert [(step.state, step.ts) for step in record.history] == [
        (OrderState.RECEIVED, made),
        (OrderState.VALIDATED, made),
        (OrderState.ROUTED, made),
        (OrderState.FILLED, filled),
    ]
    assert ids(book.find(state=OrderState.FILLED)) == ["risk-1", "risk-2", "risk-3"]


@given(
    st.integers(1, 12),
    st.lists(
        st.tuples(st.integers(1, 9), st.sampled_from(["all", "cancelled", "each", "other", "child", "look"])),
        max_size=8,
    ),
)
def test_orders_that_ended_together_are_forgotten_as_if_each_had_been_completed(most, steps):
    together, single = OrderBook(most), OrderBook(most)
    first = 1
    for count, what in steps:
        filled = filled_orders(first, count)
        first += count
        if what == "all":
            together.complete_unmade(filled)
            complete_each(single, filled)
        elif what == "cancelled":
            for stretch in split(cancelled_orders(first, count)):
                take_together(together, stretch, "broker")
                cancel_each(single, stretch, "broker")
            first += count
        else:
            for book in (together, single):
                if what == "each":
                    complete_each(book, filled)
                elif what == "look":
                    assert book.get("nobody") is None
                else:
                    of = {"group_id": "g", "group_type": GroupType.BRACKET, "parent_id": "p"} if what == "child" else {}
                    a_record(book, f"{what}-{first}", OrderState.CANCELLED, **of)
        assert (together.dropped, together.completed_count) == (single.dropped, len(single.completed))
    assert state_of(together.completed) == state_of(single.completed)
    assert state_of(together) == state_of(single)
    histories = ([record.history for record in book.completed.values()] for book in (together, single))
    assert next(histories) == next(histories)


def test_of_more_orders_than_are_kept_only_the_last_are():
    book = OrderBook(4)
    a_record(book, "before", OrderState.CANCELLED)
    book.complete_unmade(filled_orders(1, 3))
    assert book.dropped == 0
    book.complete_unmade(filled_orders(4, 2))
    assert book.dropped == 2
    book.complete_unmade(filled_orders(6, 9))
    assert book.dropped == 11
    assert list(book.completed) == ["risk-11", "risk-12", "risk-13", "risk-14"]


def test_records_of_orders_that_filled_together_are_made_when_one_is_asked_for_and_once():
    book = OrderBook(3)
    with mock.patch.object(FilledOrders, "records", side_effect=AssertionError("nobody asked")):
        book.complete_unmade(filled_orders(1, 2))
        book.complete_unmade(filled_orders(3, 2))
        a_record(book, "works")
        assert book.get("works") is not None
        assert ids(book.working("AAPL")) == ["works"]
        assert (book.dropped, book.completed_count) == (1, 3)
    record = book.get("risk-4")
    assert list(book.completed) == ["risk-2", "risk-3", "risk-4"]
    assert book.get("risk-4") is record


def test_no_record_is_made_of_an_order_that_is_forgotten():
    book, made = OrderBook(3), list[str]()
    original = PlainOrders.order

    def order(self, number):
        made.append(self.ids[number])
        return original(self, number)

    with mock.patch.object(PlainOrders, "order", order):
        book.complete_unmade(filled_orders(1, 2))
        book.complete_unmade(filled_orders(3, 2))
        assert len(book.completed) == 3
    assert made == ["risk-2", "risk-3", "risk-4"]
