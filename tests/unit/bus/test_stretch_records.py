"""Records of a stretch are, byte for byte, those of its messages one by one."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Hashable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from bus.record import encode_record
from bus.runtime.block import Block
from bus.stretch_records import (
    PAYLOAD,
    Bars,
    Layouts,
    Numbers,
    Part,
    Pattern,
    StretchRecords,
    alike,
    equally_long,
    lengths,
    lengths_in_counter,
    lengths_of,
    numbered,
    records_of,
    texts,
)
from schemas import (
    Bar,
    Direction,
    FeeLine,
    Message,
    Order,
    OrderState,
    OrderStatus,
    OrderType,
    PositionUpdate,
    Quote,
    Signal,
    SubmitOrder,
    SubmitReplace,
)
from schemas.codec import encode
from schemas.registry import TYPE_IDS, fields
from tests.support.blocks import with_arrays
from tests.support.builders import DAY_NS, T0, a_bar, a_fill, a_signal, an_order

SOURCE, STRATEGY, RISK, MANAGER, PORTFOLIO = range(1, 6)
BAR = TYPE_IDS[Bar]
ORIGIN = SOURCE, BAR


class Said(NamedTuple):
    """One of the answers to every bar of a pattern: who says it, what it answers, and what differs."""

    source: int
    cause: int
    make: Callable[[int], Message]
    """By a number of the bar."""
    words: Sequence[str] = ()
    texts: Sequence[str] = ()


Script = tuple[Hashable, Sequence[Said], Sequence[int]]
"""A kind of patterns, what is said, and the indexes of the bars that are answered so."""


def value_at(message: Any, path: str) -> Any:
    for name in path.split("."):
        message = message[int(name)] if name.isdecimal() else getattr(message, name)
    return message


def pattern_of(script: Script) -> Pattern:
    """The columns of messages."""
    kind, said, at = script
    words: list[Any] = [np.zeros((0, len(at)), np.int64)]
    columns: list[Any] = []
    parts = []
    for source, cause, make, word_names, text_names in said:
        messages = [make(index) for index in at]
        part = Part(source, cause, messages[0], {}, {})
        for name in word_names:
            part.words[name] = len(words) - 1  # type: ignore[index]
            words.append(np.array([[value_at(message, name) for message in messages]]).view(np.int64))
        for name in text_names:
            part.texts[name] = len(columns)  # type: ignore[index]
            values = messages if name == PAYLOAD else [value_at(message, name) for message in messages]
            columns.append(texts(values) if isinstance(values[0], str) else equally_long(list(map(encode, values))))
        parts.append(part)
    return Pattern(np.array(at, np.int64), kind, np.concatenate(words), columns, lambda: parts)


class Expected(NamedTuple):
    records: list[list[bytes]]
    """Of each bar."""
    last: list[int]


def one_by_one(runs: Sequence[Bars], numbers: Numbers, scripts: Sequence[Script]) -> Expected:
    said_at = {index: said for _, said, at in scripts for index in at}
    last, seq, records = numbers.last.copy(), numbers.head, []
    bars = itertools.chain.from_iterable(block[start:end] for block, start, end in runs)
    for index, bar in enumerate(bars):
        of_bar, first = [], seq + 1
        answers = [(source, first + cause, make(index)) for source, cause, make, _, _ in said_at.get(index, ())]
        for source, cause, message in [(SOURCE, 0, bar), *answers]:
            seq, last[source] = seq + 1, last[source] + 1
            origin = source, TYPE_IDS[type(message)]
            of_bar.append(encode_record(seq, bar.ts, last[source], cause, *origin, encode(message)))
        records.append(of_bar)
    return Expected(records, last)


def assert_same(
    runs: Sequence[Bars], scripts: Sequence[Script] = (), numbers: Numbers | None = None, layouts: Layouts | None = None
) -> Numbers:
    """The records of a stretch are those of its messages; give the numbers behind it."""
    numbers = Numbers(0, [0] * 6) if numbers is None else numbers
    expected = one_by_one(runs, numbers, scripts)
    head = numbers.head
    patterns = list(map(pattern_of, scripts))
    found = list(records_of(runs, ORIGIN, numbers, patterns, {} if layouts is None else layouts))
    bars = iter(expected.records)
    for run, records in zip(runs, found, strict=True):
        assert_records(records, list(itertools.islice(bars, run.end - run.start)))
    assert (numbers.last, numbers.head) == (expected.last, head)
    return Numbers(head + sum(records.total for records in found), numbers.last)


def assert_records(found: StretchRecords, expected: list[list[bytes]]) -> None:
    """They are those of each bar."""
    each = list(itertools.chain.from_iterable(expected))
    assert b"".join(found.pieces) == b"".join(each)
    assert found.ends.tolist() == list(itertools.accumulate(map(len, found.pieces)))
    sizes, counts = [sum(map(len, bar)) for bar in expected], list(map(len, expected))
    assert found.starts.tolist() == [0, *itertools.accumulate(sizes)][:-1]
    assert found.befores.tolist() == [0, *itertools.accumulate(counts)][:-1]
    assert found.total == len(each)


def bars_of(count: int, first: int = 0) -> list[Bar]:
    return [a_bar(n, c=100 + n % 7) for n in range(first, first + count)]


def unequal(bars: Sequence[Bar]) -> Block:
    """Bars of which the payloads are not equally long."""
    volumes = (3, 300, 70_000, 2**40, 0.5)
    return Block(a_bar(volume=volumes[n % len(volumes)], ts=bar.ts) for n, bar in enumerate(bars))


def run_of(count: int, first: int = 0) -> Bars:
    return Bars(with_arrays(bars_of(count, first)), 0, count)


def an_update(n: int) -> PositionUpdate:
    return PositionUpdate(T0 + n, "AAPL", n / 3, 100.0, -1.5 * n, 1e6 - n, 0.1)


UPDATE = Said(PORTFOLIO, 1, an_update, ("ts", "quantity", "realised_pnl", "cash"))


def a_status(n: int, **other: Any) -> OrderStatus:
    return OrderStatus(f"risk-{1000 + n}", "AAPL", None, OrderState.RECEIVED, 0.0, 0.0, T0 + n, **other)


def a_numbered_order(n: int, **other: Any) -> Order:
    return an_order(f"risk-{1000 + n}", quantity=n / 7, ts=T0 + n, **other)


SIGNAL = Said(STRATEGY, 0, lambda n: a_signal(price=100.0 + n), (), (PAYLOAD,))
ORDER = Said(RISK, 1, a_numbered_order, ("ts", "quantity"), ("order_id",))
STATUS = Said(MANAGER, 2, a_status, ("ts",), ("order_id",))
SUBMIT = Said(
    MANAGER,
    2,
    lambda n: SubmitOrder(a_numbered_order(n), "broker"),
    ("order.ts", "order.quantity"),
    ("order.order_id",),
)
ANSWERS = (SIGNAL, ORDER, STATUS, UPDATE, STATUS, SUBMIT)
"""Several of the order manager; whose are `STATUS` and `UPDATE` is not in order of what they answer."""


def test_bars_that_nobody_answers_have_their_own_records():
    assert_same([run_of(9)])
    assert_same([Bars(Block(bars_of(9)), 0, 9)])


def test_what_is_answered_comes_behind_its_bar():
    assert_same([run_of(9)], [("kind", ANSWERS, [2, 3, 7])])


@pytest.mark.parametrize("at", [[0], [8], [0, 8], list(range(9))])
def test_any_of_the_bars_may_be_answered(at):
    assert_same([run_of(9)], [("kind", ANSWERS, at)])


def test_an_answer_names_the_part_that_it_answers():
    said = [SIGNAL, *(Said(MANAGER, cause, a_status, ("ts",), ("order_id",)) for cause in (0, 1, 1, 3, 2, 5))]
    assert_same([run_of(5)], [("kind", said, [1, 4])])


def test_every_source_counts_for_itself():
    numbers = Numbers(500, [0, 70, 2**33, 4, 0, 9])
    others = (UPDATE, SIGNAL, UPDATE, UPDATE)
    behind = assert_same([run_of(9)], [("first", ANSWERS, [1, 6]), ("second", others, [0, 5, 8])], numbers)
    assert behind == Numbers(500 + 9 + 12 + 12, [0, 79, 2**33 + 5, 6, 6, 20])


def test_patterns_may_take_turns():
    scripts = [("one", ANSWERS, [0, 3, 6]), ("two", (UPDATE,), [1, 4]), ("three", (SIGNAL, UPDATE), [8, 9])]
    assert_same([run_of(11)], scripts)
    assert_same([run_of(11)], scripts[::-1])


def test_stretches_follow_each_other():
    layouts, numbers = {}, Numbers(7, [0, 3, 0, 0, 0, 0])
    for n in range(3):
        numbers = assert_same([run_of(6, 6 * n)], [("kind", ANSWERS, [n, 4])], numbers, layouts)
    assert numbers.head == 7 + 3 * (6 + 2 * len(ANSWERS))


BLOCKS: Mapping[str, Callable[[Sequence[Bar]], Block]] = {
    "with arrays": with_arrays,
    "without": Block,
    "of unequal length": unequal,
}


@pytest.mark.parametrize("kinds", [*itertools.permutations(BLOCKS, 2), ("without",) * 3, tuple(BLOCKS)])
def test_a_stretch_may_have_bars_of_several_blocks(kinds):
    bars = bars_of(30)
    blocks = [BLOCKS[kind](bars[10 * n : 10 * n + 10]) for n, kind in enumerate(kinds)]
    runs = [Bars(blocks[0], 6, 10), *(Bars(block, 0, 10) for block in blocks[1:-1]), Bars(blocks[-1], 2, 5)]
    assert_same(runs, [("kind", ANSWERS, [0, 3, 4, 6]), ("other", (UPDATE,), [1, 5])])


def test_a_block_may_come_in_several_runs():
    block = with_arrays(bars_of(20))
    assert_same([Bars(block, 0, 3), Bars(block, 3, 4), Bars(block, 4, 20)], [("kind", ANSWERS, [2, 3, 4, 19])])


LENGTHS = pytest.mark.parametrize("length", [1, 31, 32, 255, 256, 300, 65_535, 65_536])
LETTERS = pytest.mark.parametrize("letters", ["ab", "äö", "語字", "😀😁"])


def text_of(letters: str, length: int, n: int) -> str:
    """A text of so many bytes, which is another one for even and odd numbers."""
    letter = letters[n % 2]
    size = len(letter.encode())
    return letter * (length // size) + "cd"[n % 2] * (length % size)


@LENGTHS
@LETTERS
def test_texts_may_have_any_length(length, letters):
    def status(n: int) -> OrderStatus:
        return a_status(n, reason=text_of(letters, length, n))

    assert len(status(3).reason.encode()) == length
    assert_same([run_of(6)], [("kind", [Said(MANAGER, 0, status, ("ts",), ("reason", "order_id"))], [0, 1, 4, 5])])


@LENGTHS
@LETTERS
def test_what_differs_is_found_behind_texts_of_any_length_that_do_not(length, letters):
    def fill(n: int) -> Message:
        fixed = text_of(letters, length, 0)
        return a_fill(f"fill-{n}", broker=fixed, rule=fixed, order_id=fixed, slippage=n / 3, bar_ts=T0 + n)

    assert_same([run_of(6)], [("kind", [Said(STRATEGY, 0, fill, ("bar_ts", "slippage"), ("fill_id",))], [0, 1, 4])])


def test_no_text_at_all_may_be_before_what_differs():
    def fill(n: int) -> Message:
        return a_fill(f"fill-{n}", broker="", rule="", order_id="", slippage=n / 3)

    assert_same([run_of(6)], [("kind", [Said(STRATEGY, 0, fill, ("slippage",), ("fill_id",))], [0, 1, 4])])


NUMBERS = [0, 1, 127, 128, 255, 256, 65_535, 65_536, 2**32 - 1, 2**32, 2**63 - 1]
NUMBERS += [-1, -32, -33, -128, -129, -32_768, -32_769, -(2**31), -(2**31) - 1, -(2**63)]


@pytest.mark.parametrize("value", [*NUMBERS, 0.0, -1.5, float("nan"), None, True, False])
def test_what_differs_is_found_behind_any_value_that_does_not(value):
    def quote(n: int) -> Quote:
        return Quote(T0 + n, "AAPL", value, 3.0 * n, value, n / 7)

    assert fields(Quote) == ("ts", "symbol", "bid", "bid_quantity", "ask", "ask_quantity")
    words = ("ts", "bid_quantity", "ask_quantity")
    assert_same([run_of(6)], [("kind", [Said(STRATEGY, 0, quote, words)], [0, 1, 4])])


@pytest.mark.parametrize("lines", [0, 1, 2, 15, 16, 40])
def test_amounts_of_any_number_of_fees_may_differ(lines):
    names = [f"fee {line}" * (1 + line) for line in range(lines)]

    def fill(n: int) -> Message:
        fees = tuple(FeeLine(name, n / (2 + line)) for line, name in enumerate(names))
        return a_fill(f"fill-{n}", ts=T0 + n, commission=0.1 * n, fees=fees)

    words = ("commission", "ts", *(f"fees.{line}.amount" for line in range(lines)))
    assert_same([run_of(6)], [("kind", [Said(STRATEGY, 0, fill, words, ("fill_id",))], [0, 1, 4])])


def test_only_one_of_several_fees_may_differ():
    def fill(n: int) -> Message:
        return a_fill(fees=(FeeLine("fixed", 1.0), FeeLine("moving", n / 3), FeeLine("fixed too", 2.0)))

    assert_same([run_of(6)], [("kind", [Said(STRATEGY, 0, fill, ("fees.1.amount",))], [0, 1, 4])])


def test_a_field_behind_a_message_of_many_fields_is_found():
    assert len(fields(Order)) > 15

    def replaced(n: int) -> SubmitReplace:
        return SubmitReplace(a_numbered_order(n, reason="r" * 40), f"broker {n}", T0 + 3 * n)

    said = Said(MANAGER, 0, replaced, ("ts", "order.quantity", "order.ts"), ("broker", "order.order_id"))
    assert_same([run_of(6)], [("kind", [said], [0, 1, 4])])


def test_the_last_of_many_fields_is_found_whatever_is_before_it():
    def submit(n: int) -> SubmitOrder:
        terms = {"order_type": OrderType.LIMIT, "limit_price": n / 3, "expire_ts": T0 + n, "reduce_only": True}
        return SubmitOrder(a_numbered_order(n, parent_id="x" * 300, reason=f"reason {n}", **terms), "broker")

    words = ("order.limit_price", "order.expire_ts", "order.quantity", "order.ts")
    said = Said(MANAGER, 0, submit, words, ("order.order_id", "order.reason"))
    assert_same([run_of(6)], [("kind", [said], [0, 1, 4])])


def test_a_message_within_another_may_be_given_as_it_is():
    def submit(n: int) -> SubmitOrder:
        reason = "x" * 300
        return SubmitOrder(a_numbered_order(n, limit_price=90.0 + n, reason=reason), "broker of some name")

    assert_same([run_of(5)], [("kind", [Said(MANAGER, 0, submit, (), ("order",))], [0, 2, 3])])


def test_rows_are_alike_that_have_the_same_in_all_columns():
    columns = np.array([3, 3, 900, 3, 900]), None, np.array([0, 1, 0, 0, 0]), np.full(5, 7)
    assert [these.tolist() for these in alike(5, *columns)] == [[0, 3], [1], [2, 4]]


def test_rows_of_very_many_kinds_are_told_apart():
    columns = [np.arange(300) % step for step in (300, 150, 100, 75)]
    assert [these.tolist() for these in alike(300, *columns)] == [[n] for n in range(300)]


def test_nothing_is_alike_where_there_is_nothing():
    assert list(alike(0, np.zeros(0, np.int64), None)) == list(alike(0)) == []


@pytest.mark.parametrize("columns", [(), (None,), (np.full(4, 3), None), (np.ones(4, bool),)])
def test_all_rows_are_alike_where_nothing_differs(columns):
    assert [these.tolist() for these in alike(4, *columns)] == [[0, 1, 2, 3]]


@pytest.mark.parametrize("reason", ["", "x", "x" * 40, "ü" * 200])
def test_a_payload_may_be_given_as_it_is(reason):
    def signal(n: int) -> Signal:
        return a_signal("BUY" if n % 2 else "SELL", strength=1 / (n + 1), reason=reason)

    said = [Said(STRATEGY, 0, lambda n: signal(2 * n), (), (PAYLOAD,)), UPDATE]
    assert_same([run_of(6)], [("kind", said, [0, 1, 4])])


def test_all_bits_of_numbers_are_kept():
    values = [float("nan"), float("inf"), -0.0, 5e-324, -1.7976931348623157e308]
    times = [2**32, 2**32 + 1, 2**63 - 1, T0, 2**40]
    said = Said(
        PORTFOLIO, 0, lambda n: PositionUpdate(times[n], "A", values[n], 0.0, -values[n], 1.0, 0.0), ("ts", "quantity")
    )
    assert_same([run_of(5)], [("kind", [said._replace(words=("ts", "quantity", "realised_pnl"))], list(range(5)))])


@pytest.mark.parametrize("ts", [200, 2**32 - 1])
def test_a_number_that_takes_fewer_bytes_is_refused(ts):
    pattern = pattern_of(("kind", [UPDATE._replace(make=lambda n: an_update(n - T0 + ts))], [0]))
    with pytest.raises(AssertionError, match="numbers of a pattern take nine bytes"):
        next(records_of([run_of(5)], ORIGIN, Numbers(0, [0] * 6), [pattern], {}))


def test_a_number_may_stand_in_several_fields():
    def fill(n: int) -> Message:
        return a_fill(ts=T0 + n, bar_ts=T0 + n)

    once = pattern_of(("kind", [Said(STRATEGY, 0, fill, ("ts",))], [1, 2]))
    [part] = once.parts()
    again = Part(PORTFOLIO, 1, an_update(0), {"ts": 0}, {})
    twice = once._replace(parts=lambda: [part._replace(words={"ts": 0, "bar_ts": 0}), again])
    (found,) = records_of([run_of(4)], ORIGIN, Numbers(0, [0] * 6), [twice], {})
    said = [Said(STRATEGY, 0, fill), Said(PORTFOLIO, 1, lambda n: PositionUpdate(T0 + n, *encode_fields(an_update(0))))]
    expected = one_by_one([run_of(4)], Numbers(0, [0] * 6), [("kind", said, [1, 2])])
    assert b"".join(found.pieces) == b"".join(itertools.chain.from_iterable(expected.records))


def encode_fields(update: PositionUpdate) -> list[Any]:
    """All of an update but its time."""
    return [getattr(update, name) for name in fields(PositionUpdate)[1:]]


def test_of_one_kind_the_parts_are_asked_for_once():
    layouts: Layouts = {}
    assert_same([run_of(6)], [("kind", ANSWERS, [1, 2])], layouts=layouts)
    [layout] = layouts.values()
    script = ("kind", ANSWERS, [0, 4, 5])

    def parts() -> Sequence[Part]:
        raise AssertionError("they are known")

    numbers = Numbers(3, [0] * 6)
    expected = one_by_one([run_of(6)], numbers, [script])
    (found,) = records_of([run_of(6)], ORIGIN, numbers, [pattern_of(script)._replace(parts=parts)], layouts)
    assert b"".join(found.pieces) == b"".join(itertools.chain.from_iterable(expected.records))
    assert layouts["kind"] is layout


def test_patterns_of_one_kind_may_come_together():
    layouts: Layouts = {}
    assert_same([run_of(9)], [("kind", ANSWERS, [1, 7]), ("kind", ANSWERS, [2, 3])], layouts=layouts)
    assert list(layouts) == ["kind"]


def test_kinds_are_forgotten_when_there_are_too_many(monkeypatch):
    monkeypatch.setattr("bus.stretch_records._MOST_LAYOUTS", 2)
    layouts: Layouts = {}
    numbers = Numbers(0, [0] * 6)
    known = []
    for kind, said in (("a", ANSWERS), ("b", (UPDATE,)), ("a", ANSWERS), ("c", (SIGNAL,)), ("b", (UPDATE,))):
        numbers = assert_same([run_of(5)], [(kind, said, [0, 3])], numbers, layouts)
        known.append(list(layouts))
    assert known == [["a"], ["a", "b"], ["a", "b"], ["c"], ["c", "b"]]


def test_kinds_that_are_forgotten_in_the_middle_of_a_stretch_are_still_right(monkeypatch):
    monkeypatch.setattr("bus.stretch_records._MOST_LAYOUTS", 2)
    layouts: Layouts = {}
    scripts = [(n, said, [n]) for n, said in enumerate([ANSWERS, (UPDATE,), (SIGNAL,), (SIGNAL, UPDATE), ANSWERS[:2]])]
    assert_same([run_of(6)], scripts, layouts=layouts)
    assert list(layouts) == [4]


KINDS: Sequence[tuple[Hashable, Sequence[Said]]] = (
    ("all", ANSWERS),
    ("update", (UPDATE,)),
    ("signals", (SIGNAL, SIGNAL, UPDATE)),
    ("mixed up", (STATUS._replace(cause=0), UPDATE, SUBMIT._replace(cause=1), STATUS._replace(cause=0))),
)


@settings(max_examples=150)
@given(
    st.lists(st.tuples(st.integers(1, 12), st.sampled_from(sorted(BLOCKS)), st.data()), min_size=1, max_size=4),
    st.lists(st.lists(st.integers(-2, len(KINDS) - 1), min_size=48, max_size=48), min_size=1, max_size=3),
    st.integers(0, 2**40),
    st.lists(st.integers(0, 2**40), min_size=6, max_size=6),
)
def test_any_stretches_have_the_bytes_of_their_records(blocks, answers, head, last):
    runs, total = [], 0
    for size, kind, data in blocks:
        start = data.draw(st.integers(0, size - 1))
        end = data.draw(st.integers(start + 1, size))
        runs.append(Bars(BLOCKS[kind](bars_of(size, total)), start, end))
        total += end - start
    numbers, layouts = Numbers(head, last.copy()), {}
    for of_bars in answers:
        scripts = [
            (kind, said, [n for n, answer in enumerate(of_bars[:total]) if answer == number])
            for number, (kind, said) in enumerate(KINDS)
        ]
        numbers = assert_same(runs, [script for script in scripts if script[2]], numbers, layouts)


TEXTS = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=40)


@settings(max_examples=100)
@given(TEXTS, TEXTS, st.integers(2**32, 2**63 - 1), st.floats(), st.lists(TEXTS, max_size=3))
def test_any_texts_and_numbers_are_written_where_they_belong(text, fixed, ts, number, names):
    def fill(n: int) -> Message:
        fees = tuple(FeeLine(name, -number if n % 2 else number / 3) for name in names)
        fill_id, price = (text, number) if n % 2 else ("z" * len(text.encode()), 1.0)
        other = {"rule": fixed, "broker": fixed, "reference_price": 1.0}
        return a_fill(fill_id, ts=ts - n % 2, price=price, fees=fees, **other)

    if ts - 1 < 2**32:
        ts += 1
    words = ("ts", "price", *(f"fees.{line}.amount" for line in range(len(names))))
    assert_same([run_of(4)], [("kind", [Said(STRATEGY, 0, fill, words, ("fill_id",)), UPDATE], [0, 1, 3])])


def test_times_of_answers_are_their_bars():
    block = Block([a_bar(ts=T0), a_bar(ts=T0 + 7 * DAY_NS), a_bar(ts=T0 + 8 * DAY_NS)])
    (found,) = records_of([Bars(block, 0, 3)], ORIGIN, Numbers(0, [0] * 6), [pattern_of(("k", (UPDATE,), [1]))], {})
    assert b"".join(found.pieces)[found.starts[1] :].count((T0 + 7 * DAY_NS).to_bytes(8, "little")) == 2


def test_texts_are_a_column_of_their_bytes():
    assert [bytes(text) for text in texts(["ab", "ü", "cd"])] == [b"ab", "ü".encode(), b"cd"]
    assert [bytes(payload) for payload in equally_long([b"abc", b"\0de"])] == [b"abc", b"\0de"]


@given(st.integers(0, 1200), st.integers(0, 1200), st.sampled_from(["f", "risk-", ""]))
def test_ids_of_a_counter_are_as_long_as_they_are(first, count, name):
    ids = [f"{name}{n}" for n in range(first, first + count)]
    assert_column(lengths_in_counter(ids), list(map(len, ids)))


@given(st.lists(st.sampled_from(["", "a", "ü", "語字", "x" * 300])))
def test_texts_are_as_long_as_their_bytes(values):
    assert_column(lengths_of(values), [len(value.encode()) for value in values])
    assert_column(lengths(values), list(map(len, values)))


@given(st.lists(st.sampled_from(["b", "a", ("a", "b"), ()])))
def test_equal_values_have_the_same_number(values):
    order = list(dict.fromkeys(values))
    assert_column(numbered(values), list(map(order.index, values)))


def assert_column(column: NDArray[np.int64] | None, expected: list[int]) -> None:
    """A column has these values, or there is none as they are all the same."""
    if len(set(expected)) > 1:
        assert column is not None
        assert column.tolist() == expected
    else:
        assert column is None


def test_the_direction_of_a_kind_stays_as_its_sample_has_it():
    for direction in Direction:
        said = ORDER._replace(cause=0, make=lambda n, way=direction: a_numbered_order(n, direction=way))
        assert_same([run_of(5)], [(direction, [said], [1, 3])])
