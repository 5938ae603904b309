"""The wave bus: what comes back from anywhere is put into the one order before it goes out again."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import pytest

from bus.errors import ProtocolError
from bus.hosts import MainThreadLink
from bus.log import LogWriter
from bus.log_reader import LogReader
from bus.runtime.runner import Output, Runner
from bus.runtime.settings import RunContext
from bus.sequencer import NotAllowed
from bus.wave import Sequenced, WaveBus
from schemas.codec import decode, encode
from tests.support.builders import a_bar, a_signal
from tests.support.parts import Bars, EveryNth
from tests.support.transports import KeepingLog, wiring_of

STRATEGIES = wiring_of([Bars("bars"), EveryNth("s1"), EveryNth("s2"), EveryNth("s3")])


class Script:
    """A link whose hosts answer the first wave with what it was made with, and later ones with nothing."""

    def __init__(self, *answers: Output) -> None:
        self.answers = [list(answers)]
        self.waves: list[list[str]] = []

    def deliver(self, wave: Sequence[Sequenced]) -> None:
        self.waves.append([getattr(item.message, "reason", "bar") for item in wave])

    def collect(self) -> list[Output]:
        return self.answers.pop() if self.answers else []

    def finish(self) -> None:
        return None

    def blocks(self, _: int) -> None:
        return None

    def total(self, _: int) -> int:
        return 0


def says(cause: int, source: int, text: str, encoded: bool = False) -> Output:
    message = a_signal(reason=text)
    return Output(cause, source, 30, None, encode(message)) if encoded else Output(cause, source, 30, message)


ANSWERS = [says(1, 2, "1"), says(1, 2, "2"), says(1, 3, "3", encoded=True), says(2, 2, "4"), says(2, 4, "5")]


ORDERS = list(itertools.permutations([ANSWERS[:2], ANSWERS[2:3], ANSWERS[3:4], ANSWERS[4:]]))


@pytest.mark.parametrize("order", ORDERS, ids=range(len(ORDERS)))
def test_answers_are_ordered_by_cause_then_rank_then_emission_from_whichever_link_they_come(order):
    links = [Script(*answers) for answers in order]
    bus = WaveBus(STRATEGIES, links, None)
    bus.publish(1, a_bar().ts, a_bar())
    assert all(link.waves == [["bar"], ["1", "2", "3", "4", "5"]] for link in links)


def test_a_message_from_a_wire_is_not_encoded_again_and_read_only_when_somebody_here_takes_it():
    payload = encode(a_signal())[:-1] + b"\xd9\x04odd!"  # a length in two bytes, where our encoder takes one
    log = KeepingLog()
    bus = WaveBus(STRATEGIES, [Script(Output(1, 2, 30, None, payload))], log)
    bus.publish(1, a_bar().ts, a_bar())
    assert log.kept[-1].payload == payload
    assert decode(30, payload).reason == "odd!"


def test_a_source_that_publishes_what_it_may_not_is_refused():
    bus = WaveBus(STRATEGIES, [Script(Output(1, 2, 40, None, b"\x90"))], None)
    with pytest.raises(NotAllowed, match=r"^s1 may not publish type 40; it declared \[30\]$"):
        bus.publish(1, a_bar().ts, a_bar())


def test_time_does_not_go_back():
    bus = WaveBus(STRATEGIES, [], None)
    bus.publish(1, 10, a_bar())
    bus.publish(1, 10, a_bar())
    with pytest.raises(ProtocolError, match=r"^bars went back in time: 9 after 10 \(ns UTC\)$"):
        bus.publish(1, 9, a_bar())


def test_a_stream_comes_from_the_link_on_which_its_source_lives():
    runner = Runner(STRATEGIES.members[:1], RunContext())
    bus = WaveBus(STRATEGIES, [Script(), MainThreadLink(runner)], None)
    assert sum(len(block) for block in bus.stream(1)) == bus.total(1) == 100
    with pytest.raises(ProtocolError, match="no host of this run serves source 2"):
        bus.stream(2)


def test_nobody_hears_a_record_before_it_is_in_the_log(tmp_path):
    log = LogWriter(tmp_path)
    in_the_log: list[list[int]] = []

    class Looks(Script):
        def deliver(self, wave: Sequence[Sequenced]) -> None:
            super().deliver(wave)
            in_the_log.append([record.seq for record in LogReader(tmp_path)])

    WaveBus(STRATEGIES, [Looks(*ANSWERS)], log).publish(1, a_bar().ts, a_bar())
    assert in_the_log == [[1], [1, 2, 3, 4, 5, 6]]
    log.close()
