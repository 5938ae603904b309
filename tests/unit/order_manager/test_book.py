import sys

import pytest

from components.order_manager.book import OrderBook, OrderRecord
from components.order_manager.lifecycle import FINAL_STATES
from schemas import Direction, GroupType, OrderState
from tests.support.builders import an_order


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
    assert sizes == {"active": 0, "completed": 1, "by_parent": 1, "_by_group": 1}


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

        before = sys.gettrace()
        sys.settrace(trace)
        try:
            move(book, a_record(book, order_id), OrderState.FILLED)
        finally:
            sys.settrace(before)
        return count

    for n in range(200):
        a_record(book, f"a-{n}", OrderState.FILLED)
    early = lines_of_one_order("early")
    for n in range(5_000):
        a_record(book, f"b-{n}", OrderState.FILLED)
    assert lines_of_one_order("late") == early
