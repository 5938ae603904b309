"""Stretches that followed each other are numbered together: with the bytes of one after the other."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest

from bus.express import Stretch
from bus.runtime.block import Block
from bus.stretch_records import Layouts, Numbers, Part, Pattern
from bus.stretches import Stretches
from schemas import Bar, PositionUpdate
from schemas.registry import TYPE_IDS
from tests.support.blocks import with_arrays
from tests.support.builders import T0, a_bar

BAR = TYPE_IDS[Bar]
SOURCE, PORTFOLIO = 1, 2


class Answers:
    """What happened of a stretch are the indexes in its block of the bars that were answered."""

    def __init__(self) -> None:
        self.asked: list[Sequence[tuple[int, Any]]] = []

    def patterns(self, stretches: Sequence[tuple[int, Any]]) -> list[Pattern]:
        self.asked.append(stretches)
        at = np.array([index - shift for shift, happened in stretches for index in happened], np.int64)
        words = np.array([[index for _, happened in stretches for index in happened]], np.int64) + T0
        part = Part(PORTFOLIO, 0, PositionUpdate(T0, "AAPL", 0.0, 0.0, 0.0, 0.0, 0.0), {"ts": 0}, {})
        return [Pattern(at, "update", words, [], lambda: [part])] if len(at) else []


def stretch(end: int, *answered: int) -> Stretch:
    return Stretch(end, "AAPL", {PositionUpdate: len(answered)}, answered)


def days(count: int, first: int = 0) -> Block:
    return Block(map(a_bar, range(first, first + count)))


def stretches_of(parts: Sequence[tuple[Block, int, Stretch]], express: Any = None) -> Stretches:
    stretches = Stretches(SOURCE, BAR, "AAPL", express or Answers())
    for part in parts:
        stretches.add(*part)
    return stretches


def test_several_stretches_have_the_records_of_one_after_the_other():
    first, second = days(20), days(10, 20)
    parts = [
        (first, 3, stretch(9, 4, 8)),
        (first, 9, stretch(20, 9, 15, 19)),
        (second, 0, stretch(4)),
        (second, 4, stretch(10, 4, 5)),
    ]
    numbers, layouts, single = Numbers(70, [0, 5, 9]), Layouts(), []
    for part in parts:
        (records,) = stretches_of([part]).records(numbers, layouts)
        single.append(b"".join(records.pieces))
        numbers = Numbers(numbers.head + records.total, numbers.last)
    together = Numbers(70, [0, 5, 9])
    found = list(stretches_of(parts).records(together, {}))
    assert [b"".join(records.pieces) for records in found] == single
    total = sum(records.total for records in found)
    assert (70 + total, together.last) == (numbers.head, numbers.last) == (70 + 27 + 7, [0, 32, 16])


def test_of_each_stretch_is_told_how_far_its_bars_have_moved():
    express = Answers()
    first, second = days(20), days(10, 20)
    parts = [(first, 3, stretch(9, 4)), (first, 9, stretch(20, 9)), (second, 0, stretch(4, 0))]
    list(stretches_of(parts, express).records(Numbers(0, [0, 0, 0]), {}))
    assert express.asked == [((3, (4,)), (3, (9,)), (-17, (0,)))]


@pytest.mark.parametrize(("make", "keeps"), [(Block, True), (with_arrays, False)])
def test_messages_are_kept_only_where_there_are_no_columns_to_make_records_of(make, keeps):
    block = make(days(20))
    known = sys.getrefcount(block)
    stretches = stretches_of([(block, 3, stretch(9, 4, 8))])
    assert (sys.getrefcount(block) > known) is keeps
    (records,) = stretches.records(Numbers(0, [0, 0, 0]), {})
    (expected,) = stretches_of([(days(20), 3, stretch(9, 4, 8))]).records(Numbers(0, [0, 0, 0]), {})
    assert b"".join(records.pieces) == b"".join(expected.pieces)


@pytest.mark.parametrize("of", [(2, BAR, "AAPL"), (SOURCE, BAR + 1, "AAPL"), (SOURCE, BAR, "MSFT")])
def test_only_bars_of_one_source_and_symbol_belong_together(of):
    stretches = stretches_of([(days(20), 0, stretch(20, 1))])
    assert stretches.can_take(SOURCE, BAR, "AAPL")
    assert not stretches.can_take(*of)


def test_no_more_are_put_together_when_there_are_many_answers():
    assert stretches_of([(days(10_000), 0, stretch(10_000, *range(8191)))]).can_take(SOURCE, BAR, "AAPL")
    assert not stretches_of([(days(10_000), 0, stretch(10_000, *range(8192)))]).can_take(SOURCE, BAR, "AAPL")


def test_bars_and_answers_are_counted_by_type():
    stretches = stretches_of([(days(20), 3, stretch(9, 4, 8)), (days(20), 9, stretch(20, 9))])
    assert stretches.counts == {Bar: 17, PositionUpdate: 3}


def test_no_more_are_put_together_when_they_have_many_bars():
    block, parts = days(32_768), [(0, stretch(32_767, 1)), (32_767, stretch(32_768))]
    assert stretches_of([(block, *part) for part in parts[:1]]).can_take(SOURCE, BAR, "AAPL")
    assert not stretches_of([(block, *part) for part in parts]).can_take(SOURCE, BAR, "AAPL")
