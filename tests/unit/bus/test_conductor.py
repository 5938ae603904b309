"""The course of a run: declarations, start, data merged by time, ends, drained, completed."""

from __future__ import annotations

import itertools
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bus.conductor import CHECKPOINT_EVERY, MAX_ROUNDS, Conductor, between_checkpoints, merged
from bus.errors import ProtocolError
from bus.local import LocalBus
from bus.runtime.component import Component, handles
from bus.runtime.settings import RunContext
from schemas import Bar, Drained, EndOfStream, Message, RunCompleted, RunStarted, StartStream
from schemas.codec import decode
from tests.support.builders import a_bar
from tests.support.parts import Bars, PlainCoordinator, Sink
from tests.support.transports import Run, wiring_of

TIMES = st.lists(st.integers(0, 6), max_size=12).map(sorted)


def streams(times: list[list[int]], size: int) -> dict[int, list[list[Message]]]:
    """For each source the blocks of its messages, at most `size` in one, and an empty one now and then."""
    result = {}
    for source, ts in enumerate(times, 1):
        messages = [a_bar(ts=t, symbol=f"{source}-{n}") for n, t in enumerate(ts)]
        result[source] = [messages[n : n + size] for n in range(0, len(messages), size)] + [[]]
    return result


@given(st.lists(TIMES, min_size=1, max_size=4), st.integers(1, 5))
def test_sources_are_merged_by_time_and_at_equal_times_by_source(times, size):
    blocks = list(merged({source: iter(blocks) for source, blocks in streams(times, size).items()}))
    everything = [
        (message.ts, source, n)
        for source, blocks in streams(times, size).items()
        for n, message in enumerate(itertools.chain.from_iterable(blocks))
    ]
    came = [(m.ts, source, int(m.symbol.partition("-")[2])) for source, block in blocks for m in block]
    assert came == sorted(everything)


@given(st.lists(TIMES, min_size=1, max_size=4), st.integers(1, 5))
def test_no_block_is_empty_or_mixes_sources(times, size):
    for source, block in merged({source: iter(blocks) for source, blocks in streams(times, size).items()}):
        assert {message.symbol.partition("-")[0] for message in block} == {str(source)}


def test_the_blocks_of_one_source_are_passed_on_as_they_are():
    blocks = [[a_bar(0), a_bar(1)], [a_bar(2)]]
    assert [block for _, block in merged({1: iter(blocks)})] == blocks
    assert all(one is other for (_, one), other in zip(merged({1: iter(blocks)}), blocks, strict=True))


def test_a_long_stretch_of_one_source_is_passed_on_in_parts():
    long, late = [a_bar(ts=n) for n in range(3000)], [a_bar(ts=5000)]
    parts = list(merged({1: iter([long]), 2: iter([late])}))
    assert [(source, len(block)) for source, block in parts] == [(1, 1024), (1, 1024), (1, 952), (2, 1)]


def types_and_names(run: Run) -> list[tuple[str, str]]:
    messages = [decode(record.type_id, record.payload) for record in run.records]
    return [(type(m).__name__, getattr(m, "name", getattr(m, "source", ""))) for m in messages]


def test_a_run_says_everything_in_its_order(tmp_path):
    components = [Bars("b", {"count": 2}), Bars("a", {"count": 1, "shift_ns": 1}), PlainCoordinator("coordinator")]
    said = types_and_names(Run(components, tmp_path).over("local"))
    start = said.index(("RunStarted", ""))
    assert {name for name, _ in said[:start]} == {"TypeDeclared", "SourceDeclared"}
    assert [name for kind, name in said[:start] if kind == "SourceDeclared"] == ["a", "b", "coordinator"]
    assert said[start:] == [
        ("RunStarted", ""),
        ("StartStream", "b"),
        ("StartStream", "a"),
        ("Bar", ""),
        ("Bar", ""),
        ("Bar", ""),
        ("EndOfStream", "a"),
        ("EndOfStream", "b"),
        ("Drained", ""),
        ("RunCompleted", ""),
    ]


def test_every_stream_ends_with_the_count_of_its_messages_at_the_time_of_the_last(tmp_path):
    run = Run([Bars("a", {"count": 5}), Bars("b", {"count": 0}), PlainCoordinator("coordinator")], tmp_path).over(
        "local"
    )
    ends = [(r.ts, decode(5, r.payload)) for r in run.records if r.type_id == 5]
    assert ends == [(a_bar(4).ts, EndOfStream("a", 5)), (a_bar(4).ts, EndOfStream("b", 0))]


def a_conductor(*components: Component, sources: tuple[str, ...] = (), progress=None) -> Conductor:
    wiring = wiring_of(components)
    bus = LocalBus(wiring, RunContext(sources=sources), None)
    bus.open()
    return Conductor(bus, wiring, RunStarted("{}", "", "", ""), progress)


def test_a_source_that_is_not_there_is_named_with_those_that_are():
    conductor = a_conductor(Bars("bars"), PlainCoordinator("coordinator"), sources=("ticks",))
    with pytest.raises(
        ProtocolError, match=r"^StartStream names 'ticks'; the data sources of this run are \['bars'\]$"
    ):
        conductor.run()


def test_a_source_that_nobody_asks_for_sends_nothing():
    sink = Sink("sink")
    a_conductor(Bars("bars"), sink, PlainCoordinator("coordinator")).run()
    assert sink.heard == 0


def test_a_source_that_is_asked_for_twice_sends_once():
    sink = Sink("sink")
    a_conductor(Bars("bars", {"count": 9}), sink, PlainCoordinator("c"), sources=("bars", "bars")).run()
    assert sink.heard == 9


def test_a_run_that_nobody_completes_ends_with_a_question():
    with pytest.raises(ProtocolError, match=r"after 8 rounds of Drained no component has published RunCompleted: does"):
        a_conductor(Bars("bars"), Sink("sink")).run()


class Patient(PlainCoordinator):
    """Completes at the n-th Drained."""

    rounds = MAX_ROUNDS

    @handles(Drained)
    def on_drained(self, message: Drained) -> None:
        if message.round == self.rounds:
            self.emit(RunCompleted({"rounds": message.round}, {}))


def test_a_coordinator_may_take_as_many_rounds_as_there_are():
    assert a_conductor(Patient("coordinator")).run().statistics == {"rounds": MAX_ROUNDS}


def test_progress_is_told_between_blocks_with_the_count_and_the_total():
    told: list[tuple[int, int]] = []
    parts = [Bars("bars", {"count": 10, "block": 4}), PlainCoordinator("coordinator")]
    a_conductor(*parts, sources=("bars",), progress=lambda sent, total: told.append((sent, total))).run()
    assert told == [(4, 10), (8, 10), (10, 10)]


class Endless(Bars):
    """Does not know how much it has."""

    total = 0


def test_progress_is_told_no_total_when_one_source_does_not_know_its_own():
    told: list[tuple[int, int]] = []
    parts = [Bars("a", {"count": 2}), Endless("b", {"count": 2, "shift_ns": 10**18}), PlainCoordinator("coordinator")]
    a_conductor(*parts, sources=("a", "b"), progress=lambda sent, total: told.append((sent, total))).run()
    assert told == [(2, 0), (4, 0)]


def test_progress_may_end_the_run_where_everything_is_settled():
    def stop(sent: int, _: int) -> None:
        if sent >= 8:
            raise InterruptedError

    sink = Sink("sink")
    conductor = a_conductor(
        Bars("bars", {"count": 100, "block": 4}), sink, PlainCoordinator("c"), sources=("bars",), progress=stop
    )
    with pytest.raises(InterruptedError):
        conductor.run()
    assert sink.heard == 8


def test_a_stream_cannot_be_asked_for_when_the_data_flow_already(tmp_path: Path):
    class Late(PlainCoordinator):
        @handles(Bar)
        def on_bar(self, _: Bar) -> None:
            self.emit(StartStream("bars"))

    with pytest.raises(ProtocolError, match="StartStream for 'bars' came after the streams had begun"):
        Run([Bars("bars"), Late("coordinator")], tmp_path).over("local")


@given(st.lists(st.integers(1, CHECKPOINT_EVERY + 1000), max_size=8))
def test_blocks_are_cut_at_checkpoints_whatever_their_size(sizes):
    numbers = iter(range(sum(sizes)))
    parts = list(between_checkpoints((1, list(itertools.islice(numbers, size))) for size in sizes))
    ends = set(itertools.accumulate(len(block) for _, block in parts))
    assert [n for _, block in parts for n in block] == list(range(sum(sizes)))
    assert set(range(CHECKPOINT_EVERY, sum(sizes) + 1, CHECKPOINT_EVERY)) <= ends
