"""Which bars may be taken together, and how often it is tried."""

from __future__ import annotations

import pytest

from bus.express import Stretch
from bus.runtime.block import Block
from deploy.parties import Patience, symbol_of
from schemas import Message, Quote
from tests.support.builders import T0, a_bar

BARS = Block([a_bar(0)])
TAKEN = Stretch(1, "AAPL", {}, None)


def tries(patience: Patience, calls: int, in_vain: bool = True) -> list[int]:
    """At which of so many calls an attempt was made."""
    made: list[int] = []
    for call in range(calls):

        def take(bars: Block, start: int, call: int = call) -> Stretch | None:
            assert (bars, start) == (BARS, 0)
            made.append(call)
            return None if in_vain else TAKEN

        found = patience.attempt(take, BARS, 0)
        assert found is (TAKEN if made[-1:] == [call] and not in_vain else None)
    return made


def test_what_goes_well_is_tried_every_time():
    assert tries(Patience(), 5, in_vain=False) == [0, 1, 2, 3, 4]


def test_after_each_try_in_vain_twice_as_many_calls_are_let_pass_up_to_256():
    tried = tries(Patience(), 2000)
    assert tried[:6] == [0, 2, 5, 10, 19, 36]
    assert [after - before for before, after in zip(tried[-3:], tried[-2:], strict=False)] == [257, 257]


def test_once_it_goes_well_it_is_tried_every_time_again():
    patience = Patience()
    tries(patience, 20)
    assert tries(patience, 40, in_vain=False)[-3:] == [37, 38, 39]
    assert tries(patience, 3) == [0, 2]


def test_more_signals_are_looked_at_while_all_of_them_go_and_few_when_they_do_not():
    patience = Patience()
    least = patience.most
    for _ in range(3):
        patience.heard(patience.most, to_the_end=False)
    assert patience.most == 8 * least
    patience.heard(5 * least, to_the_end=True)
    assert patience.most == 8 * least, "there were no more"
    patience.heard(2 * least, to_the_end=False)
    assert patience.most == 4 * least
    patience.heard(3, to_the_end=False)
    assert patience.most == least


def test_few_signals_are_looked_at_after_a_try_in_vain():
    patience = Patience()
    least = patience.most
    patience.heard(least, to_the_end=False)
    patience.attempt(lambda _bars, _start: None, BARS, 0)
    assert patience.most == least


def test_bars_of_one_symbol_at_times_of_their_own_may_be_taken_together():
    assert symbol_of(Block([a_bar(0), a_bar(1)]), 0) == "AAPL"


@pytest.mark.parametrize(
    "messages",
    [
        [a_bar(0), a_bar(1, symbol="MSFT")],
        [a_bar(0), a_bar(0)],
        [a_bar(0, symbol="")],
        [a_bar(0, ts=5), a_bar(1)],
        [a_bar(0, ts=-5)],
        [Quote(T0, "AAPL", 1.0, 1.0, 2.0, 1.0)],
    ],
)
def test_others_may_not(messages: list[Message]):
    assert symbol_of(Block(messages), 0) is None
