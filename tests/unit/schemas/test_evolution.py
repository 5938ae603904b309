"""Old programs read what new ones write, and the other way round."""

from __future__ import annotations

import msgpack
import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from schemas import Message
from schemas.codec import DecodeError, decode, encode
from schemas.registry import TYPE_IDS
from tests.support.messages import any_message, messages_of


class Version1(Message, frozen=True, array_like=True, gc=False):
    """As it was first."""

    ts: int
    symbol: str


class Version2(Message, frozen=True, array_like=True, gc=False):
    """With two fields appended."""

    ts: int
    symbol: str
    venue: str = "XNAS"
    conditions: tuple[str, ...] = ()


class Version3(Version2, frozen=True, array_like=True, gc=False):
    """With one more."""

    size: float | None = None


class Holder1(Message, frozen=True, array_like=True, gc=False):
    """Holds the first version."""

    inner: Version1
    after: int


class Holder2(Message, frozen=True, array_like=True, gc=False):
    """Holds the second version."""

    inner: Version2
    after: int
    more: int = 9


def read_as(message: Message, message_type: type[Message]) -> Message:
    return msgspec.msgpack.decode(encode(message), type=message_type)


def test_an_old_reader_skips_the_fields_that_it_does_not_know():
    assert read_as(Version2(1, "AAPL", "XNYS", ("odd lot",)), Version1) == Version1(1, "AAPL")
    assert read_as(Version3(1, "AAPL", "XNYS", ("odd lot",), 5.0), Version2) == Version2(
        1, "AAPL", "XNYS", ("odd lot",)
    )


def test_a_new_reader_fills_in_the_defaults_of_what_an_old_writer_left_out():
    assert read_as(Version1(1, "AAPL"), Version2) == Version2(1, "AAPL", "XNAS", ())
    assert read_as(Version1(1, "AAPL"), Version3) == Version3(1, "AAPL", "XNAS", (), None)


def test_both_hold_for_a_message_within_a_message():
    assert read_as(Holder2(Version2(1, "AAPL", "XNYS"), 7, 8), Holder1) == Holder1(Version1(1, "AAPL"), 7)
    assert read_as(Holder1(Version1(1, "AAPL"), 7), Holder2) == Holder2(Version2(1, "AAPL", "XNAS"), 7, 9)


def test_a_field_without_default_cannot_be_appended():
    with pytest.raises(TypeError, match="Required field 'late' cannot follow optional fields"):

        class Wrong(Version2, frozen=True, array_like=True, gc=False):
            late: int


@given(any_message(), st.lists(st.one_of(st.integers(0, 2**63), st.text(), st.none(), st.floats()), max_size=3))
@settings(max_examples=150)
def test_every_type_is_read_though_its_writer_knew_more_fields(message, more):
    payload = msgpack.packb(msgpack.unpackb(encode(message)) + more)
    assert decode(TYPE_IDS[type(message)], payload) == message


@pytest.mark.parametrize("message_type", TYPE_IDS, ids=lambda t: t.__name__)
def test_every_type_is_read_though_its_writer_knew_none_of_the_fields_with_defaults(message_type):
    required = [f for f in msgspec.structs.fields(message_type) if f.required]

    @given(messages_of(message_type))
    @settings(max_examples=5)
    def check(message: Message) -> None:
        values = msgpack.unpackb(encode(message))
        for length in range(len(required), len(values)):
            found = decode(TYPE_IDS[message_type], msgpack.packb(values[:length]))
            for n, field in enumerate(msgspec.structs.fields(message_type)):
                assert getattr(found, field.name) == (getattr(message, field.name) if n < length else field.default)
        with pytest.raises(DecodeError, match=f"of at least length {len(required)}, got {len(required) - 1}"):
            decode(TYPE_IDS[message_type], msgpack.packb(values[: len(required) - 1]))

    check()
