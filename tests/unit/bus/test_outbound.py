"""What an endpoint publishes is kept until it is accepted, and can be had again from any number on."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bus import protocol as p
from bus.errors import ProtocolError
from bus.outbound import Outbound
from bus.runtime.runner import Output
from schemas.codec import encode
from tests.support.builders import a_signal

SIGNAL = 30


def outputs(source: int, count: int) -> list[Output]:
    return [Output(n, source, SIGNAL, a_signal()) for n in range(count)]


def numbers(frame: bytes) -> list[tuple[int, int]]:
    """Source and source_seq of every output in a PUBLISH frame."""
    _, _, items = p.unpack_publish(frame)
    return [(output.source, source_seq) for source_seq, output in items]


def test_every_source_counts_for_itself():
    outbound = Outbound(epoch=3)
    frame = outbound.publish(7, [*outputs(1, 2), *outputs(2, 1)])
    assert numbers(frame) == [(1, 1), (1, 2), (2, 1)]
    assert p.unpack_publish(frame)[:2] == (3, 7)
    assert numbers(outbound.publish(8, outputs(1, 1))) == [(1, 3)]


def test_a_message_and_its_bytes_are_published_alike():
    message = a_signal()
    one, other = Outbound(1), Outbound(1)
    encoded = Output(4, 1, SIGNAL, None, encode(message))
    assert one.publish(0, [Output(4, 1, SIGNAL, message)]) == other.publish(0, [encoded])


@given(st.integers(0, 3000), st.data())
@settings(deadline=None)
def test_what_is_not_accepted_comes_again_from_the_number_that_is_expected(count, data):
    outbound = Outbound(1)
    outbound.publish(0, outputs(1, count))
    accepted = data.draw(st.integers(0, count))
    outbound.accepted(1, accepted)
    assert outbound.unaccepted == count - accepted
    expected = data.draw(st.integers(accepted + 1, count + 1))
    again = [number for frame in outbound.again(0, 1, expected) for _, number in numbers(frame)]
    assert again == list(range(expected, count + 1))


def test_an_acceptance_that_comes_late_takes_nothing_back():
    outbound = Outbound(1)
    outbound.publish(0, outputs(1, 5))
    outbound.accepted(1, 4)
    outbound.accepted(1, 2)
    assert outbound.unaccepted == 1


def test_what_was_accepted_cannot_be_had_again():
    outbound = Outbound(1)
    outbound.publish(0, outputs(1, 5))
    outbound.accepted(1, 4)
    with pytest.raises(ProtocolError, match="expects message 3 of source 1, but has accepted 4"):
        list(outbound.again(0, 1, 3))
