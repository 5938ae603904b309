"""What comes of an endpoint's publishes when some are lost, come twice, or come again: each once, in order."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bus.peer import ACCEPT_EVERY, Peer
from bus.runtime.runner import Output


def item(source_seq: int, source: int = 1) -> tuple[int, Output]:
    return source_seq, Output(0, source, 30, None, str(source_seq).encode())


def seqs(outputs: list[Output]) -> list[int]:
    return [int(output.payload) for output in outputs]


@given(st.lists(st.lists(st.integers(1, 12), max_size=5), max_size=60))
@settings(deadline=None)
def test_whatever_arrives_a_source_is_accepted_once_and_in_order(frames):
    peer, out = Peer({1: 0}), []
    for frame in frames:
        outputs, gaps = peer.offer(0, map(item, frame))
        out += seqs(outputs)
        assert gaps or not any(number > peer.accepted[1] for number in frame)
    assert out == list(range(1, len(out) + 1))
    assert peer.accepted[1] == len(out)


def test_what_is_missing_is_asked_for_once_until_a_report_shows_that_it_is_missing_still():
    peer = Peer({1: 0})
    _, gaps = peer.offer(0, [item(3), item(4)])
    assert gaps == [1]
    assert peer.ask(1) == 1
    assert peer.ask(1) is None
    assert peer.report(0, [(1, 4)]) == [1]
    assert peer.ask(1) == 1
    assert not peer.reported


def test_a_report_of_nothing_missing_counts_until_something_is():
    peer = Peer({1: 0, 2: 0})
    peer.offer(3, [item(1), item(1, source=2)])
    assert peer.report(5, [(1, 1), (2, 1)]) == []
    assert peer.reported
    assert peer.wave == 5
    peer.offer(6, [item(3)])
    peer.ask(1)
    assert not peer.reported


def test_a_repeat_is_acknowledged_at_once():
    peer = Peer({1: 0})
    peer.offer(0, [item(1)])
    assert peer.untold == 1
    peer.offer(0, [item(1)])
    assert peer.untold > ACCEPT_EVERY


def test_numbers_go_on_from_what_is_in_the_log_already():
    peer = Peer({1: 41})
    assert seqs(peer.offer(0, [item(41), item(42)])[0]) == [42]


def test_another_source_is_an_error():
    with pytest.raises(KeyError):
        Peer({1: 0}).offer(0, [item(1, source=2)])
