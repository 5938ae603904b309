"""Lines of a feed: what becomes a message, what is refused, and with which reason."""

from __future__ import annotations

import itertools
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from components.data.live_feed import Address, LineBuffer
from components.data.live_lines import EndOfFeed, LineReader, Refused
from schemas import Bar, Message, Quote, Trade

JAN_2 = 1_577_923_200_000_000_000
BAR = {"type": "bar", "ts": JAN_2, "symbol": "A", "open": 10, "high": 12, "low": 9, "close": 11, "volume": 5}


def reader(*symbols: str, **options) -> LineReader:
    return LineReader(symbols, **options)


def read(line: str | bytes, *symbols: str, **options) -> Message | None:
    return reader(*symbols, **options).read(line if isinstance(line, bytes) else line.encode())


def a_line(**changes) -> str:
    return json.dumps({**BAR, **changes})


@pytest.mark.parametrize(
    ("line", "message"),
    [
        (a_line(), Bar(JAN_2, "A", 10.0, 12.0, 9.0, 11.0, 5.0)),
        ("bar,2020-01-02T00:00:00Z,A,10,12,9,11,5", Bar(JAN_2, "A", 10.0, 12.0, 9.0, 11.0, 5.0)),
        (f"quote,{JAN_2},A,10,1,11,2", Quote(JAN_2, "A", 10.0, 1.0, 11.0, 2.0)),
        ("quote,2020-01-02,A,0,0,11,2", Quote(JAN_2, "A", 0.0, 0.0, 11.0, 2.0)),
        (' trade , 2020-01-02 , "A" , 10.5 , 3 \r', Trade(JAN_2, "A", 10.5, 3.0)),
        ('{"type":"trade","ts":"2020-01-02T01:00+01:00","symbol":"A","price":1,"quantity":3}', Trade(JAN_2, "A", 1, 3)),
        (f"trade,{JAN_2 // 10**9},A,1,1", Trade(JAN_2, "A", 1.0, 1.0)),
        (f"trade,{JAN_2 // 10**6},A,1,1", Trade(JAN_2, "A", 1.0, 1.0)),
        ("", None),
        ("# a comment", None),
    ],
)  # fmt: skip
def test_a_line_becomes_a_message(line, message):
    assert read(line) == message


def test_the_unit_and_the_zone_of_times_can_be_declared():
    assert read("trade,1000,A,1,1", unit="ns").ts == 1000
    from components.data.file_format import zone_of

    assert read("trade,2020-01-01T19:00:00,A,1,1", zone=zone_of("America/New_York")).ts == JAN_2


def test_a_symbol_that_the_run_does_not_ask_for_is_passed_over():
    assert read(a_line(), "B", "C") is None
    assert read(a_line(), "A", "C") is not None


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("{", "not JSON"),
        (b"trade,\xff", "not UTF-8 text"),
        ("hello", "begins with 'hello'"),
        ("trade,2020-01-02,A,1", "has 3 values after 'trade'; trade rows have 4: ts, symbol, price, quantity"),
        (a_line(type="tick"), "type 'tick' is none of bar, quote, trade, end"),
        (a_line(ts="soon"), "timestamp 'soon' is neither ISO 8601"),
        (a_line(ts=1.5), "ts 1.5 is neither"),
        (a_line(ts=True), "ts True is neither"),
        (a_line(ts=2**63), "is not in the years"),
        (a_line(extra=1), "extra: Extra inputs are not permitted"),
        (a_line(open=None), "open: Input should be a valid number"),
        ('{"type":"trade","ts":1577923200,"symbol":"A","price":1}', "quantity: Field required"),
        (a_line(open="x"), "open: Input should be a valid number"),
        (a_line(symbol=""), "symbol is empty"),
        (a_line(open=13), "not low <= open, close <= high"),
        (a_line(volume=-1), "a quantity is negative"),
        (a_line(open=0, low=0), "a price is not above 0"),
        ("trade,2020-01-02,A,nan,1", "price: Input should be a finite number"),
        ("trade,2020-01-02,A,inf,1", "price: Input should be a finite number"),
    ],
)
def test_what_is_not_a_message_is_refused_with_the_reason(line, reason):
    with pytest.raises(Refused) as caught:
        read(line)
    assert reason in str(caught.value)


def test_prices_of_zero_and_below_may_be_allowed():
    assert read(a_line(open=0, low=-1), negative=True).low == -1


def test_time_never_goes_back_in_one_symbol_and_kind():
    lines = reader()
    assert lines.read(b"trade,2020-01-03,A,1,1") is not None
    assert lines.read(b"trade,2020-01-02,B,1,1") is not None
    assert lines.read(b"quote,2020-01-02,A,1,1,2,1") is not None
    with pytest.raises(Refused, match=r"of A is before"):
        lines.read(b"trade,2020-01-02,A,1,1")
    assert lines.read(b"trade,2020-01-03,A,1,1") is not None


@pytest.mark.parametrize("line", ["end", '{"type": "end"}'])
def test_a_feed_can_say_that_it_ends(line):
    with pytest.raises(EndOfFeed):
        read(line)


@given(st.binary(max_size=80))
def test_whatever_comes_is_a_message_or_refused_and_never_a_crash(line):
    try:
        message = read(line)
    except (Refused, EndOfFeed):
        return
    assert message is None or isinstance(message, Bar | Quote | Trade)


@given(
    lines=st.lists(st.binary(max_size=20).filter(lambda line: b"\n" not in line)), cuts=st.lists(st.integers(0, 200))
)
def test_lines_are_the_same_however_the_bytes_are_cut(lines, cuts):
    data = b"".join(line + b"\n" for line in lines)
    places = sorted({0, len(data), *(cut for cut in cuts if cut < len(data))})
    buffer = LineBuffer(10)
    found = [line for a, b in itertools.pairwise(places) for line in buffer.add(data[a:b])]
    assert found == [line if len(line) <= 10 else None for line in lines]
    assert buffer.last() == []


def test_a_line_without_end_takes_no_more_memory_than_the_bound_and_is_refused_once():
    buffer = LineBuffer(10)
    assert [buffer.add(b"x" * 8) for _ in range(5)] == [[], [None], [], [], []]
    assert len(buffer._rest) <= 10
    assert buffer.add(b"x\nnext\nlast") == [b"next"]
    assert buffer.last() == [b"last"]


@pytest.mark.parametrize(
    "text", ["127.0.0.1:9000", "tcp://127.0.0.1", "tcp://:1", "udp://a:1", "tcp://a:0", "tcp://a:x"]
)
def test_what_is_not_an_address_is_refused(text):
    with pytest.raises(ValueError, match="write it as tcp://127"):
        Address.of(text)


def test_an_address_has_a_host_and_a_port():
    assert Address.of("tcp://127.0.0.1:9000") == ("127.0.0.1", 9000)
    assert str(Address.of("tcp://[::1]:9000")) == "tcp://::1:9000"
