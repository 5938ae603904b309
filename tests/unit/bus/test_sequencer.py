"""The total order: no gap, nothing twice, and nobody in it who has no right to be."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from bus.errors import ProtocolError
from bus.sequencer import HUB, NotAllowed, SequenceGap, Sequencer, SourceRule, StaleEpoch

SIGNAL, ORDER = 30, 40
RULES = [SourceRule(HUB, "hub", frozenset({3})), SourceRule(1, "strategy", frozenset({SIGNAL}))]
RULES.append(SourceRule(2, "risk", frozenset({ORDER})))


def a_sequencer(epoch: int = 1) -> Sequencer:
    return Sequencer(RULES, epoch)


def test_publishes_are_numbered_from_one_over_all_sources():
    sequencer = a_sequencer()
    offered = [(1, 1, 1, SIGNAL), (2, 1, 1, ORDER), (1, 1, 2, SIGNAL), (HUB, 1, 1, 3)]
    assert [sequencer.offer(*one) for one in offered] == [1, 2, 3, 4]
    assert sequencer.last == [1, 2, 1]


def test_the_number_that_follows_is_each_sources_own_and_also_told_of_a_stranger():
    sequencer = a_sequencer()
    sequencer.offer(1, 1, sequencer.following(1), SIGNAL)
    assert [sequencer.following(source) for source in (HUB, 1, 2, 9)] == [1, 2, 1, 1]


def test_a_repeat_is_acknowledged_and_not_sequenced_again():
    sequencer = a_sequencer()
    sequencer.offer(1, 1, 1, SIGNAL)
    sequencer.offer(1, 1, 2, SIGNAL)
    assert [sequencer.offer(1, 1, n, SIGNAL) for n in (1, 2)] == [None, None]
    assert sequencer.head == 2


@pytest.mark.parametrize("number", [4, 100, 0, -1])
def test_a_gap_is_refused_and_so_is_a_number_that_no_message_has(number):
    sequencer = a_sequencer()
    sequencer.offer(1, 1, 1, SIGNAL)
    sequencer.offer(1, 1, 2, SIGNAL)
    with pytest.raises(SequenceGap, match=rf"^strategy sent its message {number} after 2$"):
        sequencer.offer(1, 1, number, SIGNAL)


@pytest.mark.parametrize("epoch", [0, 1, 3])
def test_another_epoch_is_refused(epoch):
    with pytest.raises(StaleEpoch, match=rf"^strategy speaks for epoch {epoch}, the run is in epoch 2$"):
        a_sequencer(epoch=2).offer(1, epoch, 1, SIGNAL)


def test_a_type_that_the_source_did_not_declare_is_refused():
    with pytest.raises(NotAllowed, match=r"^strategy may not publish type 40; it declared \[30\]$"):
        a_sequencer().offer(1, 1, 1, ORDER)


def test_a_source_that_is_not_of_this_run_is_refused():
    with pytest.raises(NotAllowed, match=r"^source 9 is not part of this run$"):
        a_sequencer().offer(9, 1, 1, ORDER)


@given(st.sampled_from([(1, 1, 3, SIGNAL), (1, 2, 2, SIGNAL), (1, 1, 2, ORDER), (7, 1, 1, ORDER)]))
def test_what_is_refused_changes_nothing(offered):
    sequencer = a_sequencer()
    sequencer.offer(1, 1, 1, SIGNAL)
    with pytest.raises(ProtocolError):
        sequencer.offer(*offered)
    assert (sequencer.head, sequencer.last) == (1, [0, 1, 0])


def test_what_is_admitted_beside_the_hub_takes_the_next_numbers_too():
    sequencer = a_sequencer()
    assert [sequencer.admit(1), sequencer.admit(HUB), sequencer.offer(1, 1, 2, SIGNAL)] == [1, 2, 3]


class AnySource(RuleBasedStateMachine):
    """Offers whatever it likes and keeps what was accepted."""

    def __init__(self) -> None:
        super().__init__()
        self.sequencer = a_sequencer()
        self.log: list[tuple[int, int, int]] = []

    @rule(
        source=st.integers(-1, 4),
        epoch=st.sampled_from([1, 1, 1, 0, 2]),
        source_seq=st.integers(-1, 6),
        type_id=st.sampled_from([3, SIGNAL, ORDER]),
    )
    def offer(self, source, epoch, source_seq, type_id):
        self._offer(source, epoch, source_seq, type_id)

    @rule(source=st.sampled_from([1, 2]), again=st.integers(0, 2))
    def offer_the_next_or_an_earlier_one(self, source, again):
        self._offer(source, 1, self.sequencer.last[source] + 1 - again, SIGNAL if source == 1 else ORDER)

    @rule(source=st.sampled_from([HUB, 1, 2]))
    def admit(self, source):
        self.log.append((self.sequencer.admit(source), source, self.sequencer.last[source]))

    def _offer(self, source, epoch, source_seq, type_id):
        try:
            seq = self.sequencer.offer(source, epoch, source_seq, type_id)
        except ProtocolError:
            return
        if seq is None:
            assert (source, source_seq) in {entry[1:] for entry in self.log}, "acknowledged but never sequenced"
        else:
            self.log.append((seq, source, source_seq))

    @invariant()
    def the_order_has_no_gap_and_nothing_twice(self):
        assert [seq for seq, _, _ in self.log] == list(range(1, len(self.log) + 1))
        assert self.sequencer.head == len(self.log)
        for source in (HUB, 1, 2):
            numbers = [source_seq for _, who, source_seq in self.log if who == source]
            assert numbers == list(range(1, len(numbers) + 1))


TestAnySource = AnySource.TestCase
