"""Blocks of messages: lists that know their columns."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bus.runtime.block import Block, part_of
from schemas import Bar
from tests.support.builders import a_bar


def bars_of(times: list[int], symbols: str) -> list[Bar]:
    return [Bar(ts, f"S{symbol}", 1.0, 2.0, 0.5, 1.5 + ts, 10.0) for ts, symbol in zip(times, symbols, strict=True)]


@given(st.lists(st.tuples(st.integers(0, 5), st.sampled_from("AB")), min_size=1, max_size=12), st.data())
def test_a_part_of_a_part_says_the_same_as_a_block_made_of_its_messages(gaps, data):
    times = [sum(gap for gap, _ in gaps[: n + 1]) for n in range(len(gaps))]
    bars = bars_of(times, "".join(symbol for _, symbol in gaps))
    start = data.draw(st.integers(0, len(bars) - 1))
    end = data.draw(st.integers(start + 1, len(bars) + 2))
    inner = data.draw(st.integers(0, min(end, len(bars)) - start - 1))
    whole = Block(bars)
    if data.draw(st.booleans()):
        whole.column("close")
        whole.only("symbol")
    part = whole.part(start, end).part(inner, inner + 3)
    made = Block(bars[start:end][inner : inner + 3])
    assert part == made
    assert part.column("close") == made.column("close") == [bar.close for bar in made]
    assert part.only("symbol") == made.only("symbol")
    assert part.bounds("ts") == made.bounds("ts") == (made[0].ts, made[-1].ts)
    places = {symbol: indexes.tolist() for symbol, indexes in part.places("symbol").items()}
    assert places == {symbol: [n for n, bar in enumerate(made) if bar.symbol == symbol] for symbol in places}
    assert list(places) == list(part.distinct("symbol")) == list(dict.fromkeys(bar.symbol for bar in made))
    assert part.gaps == made.gaps == whole.gaps_between(start + inner, start + inner + len(made))
    assert part.message_type is Bar


def test_gaps_are_those_between_neighbours_and_none_of_a_single_message():
    assert Block(bars_of([1, 3, 3, 8], "AAAA")).gaps == {2, 0, 5}
    assert Block(bars_of([1], "A")).gaps == set()
    assert Block(bars_of([1, 2, 3], "AAA")).gaps_between(1, 2) == set()


def test_a_field_that_differs_in_the_whole_may_be_the_same_in_a_part():
    block = Block(bars_of([1, 2, 3], "AAB"))
    assert block.only("symbol") is None
    assert block.part(0, 2).only("symbol") == "SA"


def test_a_column_is_made_once():
    block = Block(bars_of([1, 2], "AA"))
    assert block.column("ts") is block.column("ts")


def test_columns_that_are_known_are_not_made():
    block = Block([a_bar(0)], {"ts": [7]}, only={"symbol": "X"})
    assert block.column("ts") == [7]
    assert block.only("symbol") == "X"


def test_without_its_messages_a_block_has_its_arrays_and_what_is_the_same_in_all():
    block = Block([a_bar(n) for n in range(3)], arrays={"close": np.array([1.0, 2.0, 3.0])})
    assert block.only("symbol") == "AAPL"
    without = block.without_messages()
    assert (len(without), without.message_type, without.only("symbol")) == (0, Bar, "AAPL")
    assert without.array("close").tolist() == [1.0, 2.0, 3.0]


def test_a_part_has_its_part_of_the_arrays():
    block = Block(bars_of([1, 2, 3, 4], "AAAA"), arrays={"ts": np.array([1, 2, 3, 4])})
    assert block.part(1, 4).part(1, 9).arrays["ts"].tolist() == [3, 4]


@pytest.mark.parametrize("times", [[-(2**62), 2**62, 2**62 + 1], [2**63 - 2, -(2**63), 0], [5, 3, 5]])
def test_gaps_are_the_same_with_an_array_however_large_they_are(times):
    bars = bars_of(times, "AAA")
    assert Block(bars, arrays={"ts": np.array([bar.ts for bar in bars])}).gaps == Block(bars).gaps


@pytest.mark.parametrize("kind", [list, Block])
def test_a_part_is_of_the_kind_of_the_whole(kind):
    whole = kind([a_bar(n) for n in range(4)])
    part = part_of(whole, 1, 3)
    assert type(part) is list or isinstance(part, Block)
    assert isinstance(part, Block) == isinstance(whole, Block)
    assert part == whole[1:3]
