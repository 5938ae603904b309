"""Blocks of a user's own source: as every reader of their bytes would see them."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bus.errors import ProtocolError
from bus.runtime.block import Block
from bus.runtime.canonical import canonical_block
from bus.runtime.component import Source
from schemas import Bar, Quote, Signal
from schemas.codec import DecodeError, canonical
from tests.support.builders import a_bar, a_signal

SOURCE = Source("feed")

odd_prices = st.sampled_from([1.5, 2, True, float("nan"), float("inf"), "3", None, np.float64(2.5)])
odd_times = st.sampled_from([1, 2**63 - 1, 2**63, 2**64, -1, 1.0, True])
odd_symbols = st.sampled_from(["AAPL", "Ä", "\ud800", b"AAPL", None])
bars = st.builds(
    Bar,
    ts=st.just(1) | odd_times,
    symbol=st.just("AAPL") | odd_symbols,
    open=st.just(1.0) | odd_prices,
    high=st.just(2.0),
    low=st.just(0.5),
    close=st.just(1.5) | odd_prices,
    volume=st.just(10.0),
)


@given(st.lists(bars, max_size=3))
def test_a_block_is_what_its_messages_are_one_by_one(messages) -> None:
    try:
        expected = [canonical(message) for message in messages]
    except DecodeError:
        expected = None
    if expected is None or any(bar.ts >= 2**63 for bar in expected):
        with pytest.raises(ProtocolError, match=r"^feed published (a message that does not fit its type: )?Bar"):
            canonical_block(SOURCE, messages)
    else:
        assert repr(list(canonical_block(SOURCE, messages))) == repr(expected)


def test_messages_that_are_canonical_already_are_not_made_again() -> None:
    messages = [a_bar(0), a_bar(1, symbol="Ä")]
    found = canonical_block(SOURCE, messages)
    assert isinstance(found, Block)
    assert all(one is other for one, other in zip(found, messages, strict=True))


def test_a_block_of_the_users_own_is_not_believed() -> None:
    lying = Block([a_bar(0)], {"ts": [7]}, only={"symbol": "X"}, arrays={"ts": np.array([7])})
    found = canonical_block(SOURCE, lying)
    assert isinstance(found, Block)
    assert not found.arrays
    assert found == [a_bar(0)]
    assert Block(found).column("ts") == [a_bar(0).ts]


def test_blocks_of_several_types_and_of_types_with_more_than_plain_fields_are_made_anew() -> None:
    messages = [a_bar(0), Quote(1, "AAPL", 1, 2, 3, 4)]
    assert repr(canonical_block(SOURCE, messages)) == repr([canonical(message) for message in messages])
    (signal,) = canonical_block(SOURCE, [a_signal(strength=1)])
    assert isinstance(signal, Signal)
    assert repr(signal.strength) == "1.0"


def test_what_is_no_message_at_all_is_refused() -> None:
    with pytest.raises(ProtocolError, match="feed published str, but declares that it emits nothing"):
        canonical_block(SOURCE, ["AAPL"])


def test_a_block_may_be_anything_that_gives_messages() -> None:
    assert canonical_block(SOURCE, (a_bar(n) for n in range(2))) == [a_bar(0), a_bar(1)]


def test_a_time_that_no_record_can_have_is_refused() -> None:
    last = a_bar(0, ts=2**63 - 1)
    assert canonical_block(SOURCE, [last]) == [last]
    text = r"^feed published Bar with ts 9223372036854775808, which is later than any time that a log can hold, "
    with pytest.raises(ProtocolError, match=text):
        canonical_block(SOURCE, [last, a_bar(0, ts=2**63)])
