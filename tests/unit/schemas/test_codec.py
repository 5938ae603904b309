"""Messages to bytes and back, for every type that there is."""

from __future__ import annotations

import itertools
import json

import msgpack
import pytest
from hypothesis import given, settings
from msgspec.structs import astuple

from schemas import Bar, Direction, FeeLine, Halt, Message, Signal, SubmitOrder
from schemas.codec import (
    DecodeError,
    canonical,
    decode,
    decode_all,
    decode_rows,
    encode,
    starts_of,
    to_builtins,
    type_id_of,
)
from schemas.registry import TYPE_IDS
from tests.support.builders import a_bar, a_fill, a_signal, an_order
from tests.support.messages import any_message


def plain(value: object) -> object:
    """The value as nested tuples of plain Python, fields in order."""
    if isinstance(value, Message):
        return [plain(getattr(value, name)) for name in value.__struct_fields__]
    if isinstance(value, tuple):
        return [plain(item) for item in value]
    return value


@given(any_message())
@settings(max_examples=300)
def test_every_message_comes_back_as_it_was(message):
    found = decode(TYPE_IDS[type(message)], encode(message))
    assert found == message
    assert type(found) is type(message)
    assert repr(found) == repr(message), "equal, but of another type inside"


@given(any_message(nan=True))
@settings(max_examples=300)
def test_the_bytes_are_those_that_plain_msgpack_gives_for_the_fields_in_order(message):
    assert encode(message) == msgpack.packb(plain(message))


@given(any_message(nan=True))
@settings(max_examples=200)
def test_a_message_that_was_decoded_gives_the_same_bytes_again(message):
    payload = encode(message)
    assert encode(decode(TYPE_IDS[type(message)], payload)) == payload
    assert encode(canonical(message)) == payload


def test_a_payload_may_lie_in_a_larger_buffer():
    assert decode(20, memoryview(b"xx" + encode(a_bar()))[2:]) == a_bar()


def test_a_type_that_nobody_registered_is_refused_with_those_that_are():
    with pytest.raises(DecodeError, match=r"^message type 999 is not registered; known are \[1, 2, 3, "):
        decode(999, b"\x90")


BAR = [1, "AAPL", 1.0, 2.0, 0.5, 1.5, 100.0]


@pytest.mark.parametrize(
    ("payload", "text"),
    [
        (b"", "Bar: Input data was truncated"),
        (encode(a_bar())[:-1], "Bar: Input data was truncated"),
        (encode(a_bar()) + b"\0", "Bar: MessagePack data is malformed: trailing characters"),
        (b"\xc1", "Bar: MessagePack data is malformed"),
        (msgpack.packb({"ts": 1}), "Bar: Expected `array`, got `object`"),
        (msgpack.packb(BAR[:-1]), "Bar: Expected `array` of at least length 7, got 6"),
        (msgpack.packb(["1", *BAR[1:]]), r"Bar: Expected `int`, got `str` - at `\$\[0\]`"),
        (msgpack.packb([1.0, *BAR[1:]]), r"Bar: Expected `int`, got `float` - at `\$\[0\]`"),
        (msgpack.packb([*BAR[:2], None, *BAR[3:]]), r"Bar: Expected `float`, got `(null|None)` - at `\$\[2\]`"),
        (msgpack.packb([*BAR[:2], True, *BAR[3:]]), r"Bar: Expected `float`, got `bool` - at `\$\[2\]`"),
    ],
)
def test_a_payload_that_does_not_fit_its_type_is_refused_with_the_place(payload, text):
    with pytest.raises(DecodeError, match=f"^{text}"):
        decode(20, payload)


def test_a_word_that_is_not_of_its_enumeration_is_refused():
    fields = plain(an_order())
    fields[2] = "HOLD"
    with pytest.raises(DecodeError, match=r"Order: Invalid enum value 'HOLD' - at `\$\[2\]`"):
        decode(40, msgpack.packb(fields))


def test_whole_numbers_in_fields_for_floats_become_floats():
    found = canonical(Bar(1, "AAPL", 1, 2, 0, 1, 100))
    assert found == Bar(1, "AAPL", 1.0, 2.0, 0.0, 1.0, 100.0)
    assert [type(getattr(found, name)) for name in found.__struct_fields__[2:]] == [float] * 5


def test_plain_words_become_members_of_their_enumeration_and_lists_become_tuples():
    found = canonical(a_fill(direction="BUY", fees=[FeeLine("sec", 1)]))
    assert found.direction is Direction.BUY
    assert found.fees == (FeeLine("sec", 1.0),)
    assert isinstance(found.fees, tuple)


@given(any_message())
@settings(max_examples=100)
def test_what_is_canonical_stays_as_it_is(message):
    assert repr(canonical(message)) == repr(message)


@pytest.mark.parametrize(
    "value",
    [object(), 1j, {1, 2}.__iter__(), b"bytes", 2**70, -(2**70), "\ud800", None, 1.5],
    ids=["object", "complex", "iterator", "bytes", "too large", "too small", "surrogate", "none", "fraction"],
)
def test_what_no_reader_could_read_is_refused(value):
    with pytest.raises(DecodeError, match=r"^Halt: "):
        canonical(Halt(value))


def test_a_message_that_is_not_registered_has_no_id():
    with pytest.raises(KeyError):
        canonical(FeeLine("sec", 1.0))
    assert type_id_of(Bar) == 20


@given(any_message())
@settings(max_examples=100)
def test_builtins_are_plain_json_keyed_by_field_in_wire_order(message):
    found = to_builtins(message)
    assert list(found) == list(message.__struct_fields__)
    assert json.loads(json.dumps(found, allow_nan=False)) == found


def test_builtins_of_nested_messages_are_keyed_too():
    found = to_builtins(SubmitOrder(an_order(), "broker"))
    assert found["order"]["order_id"] == "risk-1"
    assert type(found["order"]["direction"]) is str
    assert to_builtins(a_fill(fees=(FeeLine("sec", 1.0),)))["fees"] == [{"name": "sec", "amount": 1.0}]


@pytest.mark.parametrize("count", [0, 1, 20, 70_000])
def test_messages_that_stand_behind_each_other_are_decoded_together(count):
    signals = [a_signal(ts=n, price=n / 7) for n in range(count)]
    payloads = b"".join(map(encode, signals))
    assert decode_all(Signal, payloads, count) == signals
    assert decode_rows(payloads, count) == [list(to_builtins(signal).values()) for signal in signals]


@given(any_message())
def test_it_is_told_where_the_values_of_a_message_begin_in_its_payload(message):
    values = astuple(message)
    payload, starts = encode(message), starts_of(values)
    assert [payload[begin:end] for begin, end in itertools.pairwise(starts)] == list(map(encode, values))
    assert starts[-1] == len(payload)


@pytest.mark.parametrize("count", [0, 15, 16, 70_000])
def test_it_is_told_where_the_values_of_a_sequence_begin(count):
    values = list(range(count))
    payload, starts = encode(values), starts_of(values)
    assert [payload[begin:end] for begin, end in itertools.pairwise(starts)] == list(map(encode, values))
