"""The live bus: order of arrival, the hub's clock, nobody waited for, and logs that execute again."""

from __future__ import annotations

import threading

import pytest

from bus.errors import ComponentError, ProtocolError
from bus.inbox import Inbox
from bus.live import LiveBus
from bus.log import LogWriter
from bus.log_reader import LogReader
from bus.runtime.clock import RecordingClock
from bus.runtime.component import Component, handles
from bus.runtime.runner import Output
from bus.runtime.settings import RunContext
from bus.topics import Wiring
from schemas import (
    Bar,
    Checkpoint,
    EndOfStream,
    Fill,
    Halt,
    Order,
    RunCompleted,
    SetTimer,
    Signal,
    StopStream,
    TimerFired,
)
from schemas.registry import TYPE_IDS
from tests.support.builders import DAY_NS, T0, a_bar, a_signal
from tests.support.live import FakeClock, Held, LiveRun, Outside, executed_again
from tests.support.nodes import Gate
from tests.support.parts import (
    Alarms,
    Bars,
    EveryNth,
    PlainBroker,
    PlainCoordinator,
    PlainManager,
    PlainPortfolio,
    PlainRisk,
    Sink,
)
from tests.support.transports import KeepingLog, run_over, wiring_of
from tests.support.waiting import until


def parts(source: Component, **strategy: int) -> list[Component]:
    return [
        source,
        EveryNth("strategy", strategy),
        PlainRisk("risk"),
        PlainManager("manager"),
        PlainBroker("broker"),
        PlainPortfolio("portfolio"),
        PlainCoordinator("coordinator"),
    ]


EVERYBODY = ("bars", "strategy", "risk", "manager", "broker", "portfolio", "coordinator")
PLACES = [(), ("bars", "strategy"), EVERYBODY]
every_place = pytest.mark.parametrize("apart", PLACES, ids=["inline", "some in threads", "all in threads"])


@every_place
def test_a_recording_that_follows_the_run_gives_the_fills_of_a_backtest(apart, tmp_path):
    live = LiveRun(parts(Bars("bars", {"count": 60})), apart, RecordingClock(0)).to_its_end()
    backtest = run_over("local", parts(Bars("bars", {"count": 60})), tmp_path)
    fills = [record.payload for record, _ in live.told(Fill)]
    assert fills == [record.payload for record in backtest.records if record.type_id == TYPE_IDS[Fill]]
    assert len(fills) == live.result.counts["fills"] == 19


@every_place
def test_a_captured_run_executes_again_to_the_same_digest(apart):
    live = LiveRun(parts(Bars("bars", {"count": 60}), burst=2), apart, RecordingClock(0)).to_its_end()
    context = RunContext(sources=("bars",))
    assert executed_again(live.records, parts(Bars("bars", {"count": 60}), burst=2), context) == live.digest


def test_a_changed_component_is_found_when_a_log_is_executed_again():
    live = LiveRun(parts(Bars("bars", {"count": 9})), EVERYBODY, RecordingClock(0)).to_its_end()
    with pytest.raises(AssertionError, match=r"Mismatch"):
        executed_again(live.records, parts(Bars("bars"), n=4), RunContext(sources=("bars",)))


@pytest.mark.parametrize("apart", [(), ("a", "b")])
def test_in_a_recording_timers_fire_where_a_backtest_lets_them(apart, tmp_path):
    def components() -> list[Component]:
        return [Bars("bars", {"count": 40}), Alarms("a"), Alarms("b", {"every": 2}), PlainCoordinator("coordinator")]

    live = LiveRun(components(), apart, RecordingClock(0)).to_its_end()
    backtest = run_over("local", components(), tmp_path)
    expected = [(record.ts, record.payload) for record in backtest.records if record.type_id == TYPE_IDS[TimerFired]]
    # Timers of several components for one time fire in the order of being set, which is that of arrival here.
    assert sorted((record.ts, record.payload) for record, _ in live.told(TimerFired)) == sorted(expected)
    assert executed_again(live.records, components(), RunContext(sources=("bars",))) == live.digest


def test_every_record_is_stamped_with_the_hubs_clock_which_never_goes_back():
    clock, source = FakeClock(T0 + 5), Held("bars", Bar)
    with LiveRun([source, Sink("sink"), PlainCoordinator("c")], clock=clock).under_way() as run:
        source.give(a_bar(ts=1))
        run.until_said(Bar)
        clock.now = T0 + 2
        source.give(a_bar(ts=2))
        run.until_said(Bar, 2)
        clock.now = T0 + 9
        source.give(a_bar(ts=3))
        run.until_said(Bar, 3)
    assert [(record.ts - T0, bar.ts) for record, bar in run.told(Bar)] == [(5, 1), (5, 2), (9, 3)]


def test_outputs_name_the_record_that_they_answer_and_what_is_from_outside_answers_nothing():
    source = Held("bars", Bar)
    with LiveRun(parts(source, n=1), EVERYBODY).under_way() as run:
        source.give(a_bar(0))
        run.until_said(Order)
        source.give(a_bar(1))
        run.until_said(Fill)
    records = {record.seq: record for record in run.records}
    assert {records[record.cause].type_id for record, _ in run.told(Signal)} == {TYPE_IDS[Bar]}
    assert {record.cause for record, _ in run.told(Bar, EndOfStream)} == {0}
    assert all(0 < record.cause < record.seq for record, _ in run.told(Signal, Order, Fill))


def test_a_timer_fires_when_the_hubs_clock_has_reached_it_though_nothing_else_comes():
    class Waiting(Component):
        component_type = "strategy"
        emits = (SetTimer,)

        @handles(Bar)
        def on_bar(self, bar: Bar) -> None:
            self.emit(SetTimer("x", T0 + 10))

        @handles(TimerFired)
        def on_timer(self, _: TimerFired) -> None:
            """The log has it."""

    clock, source = FakeClock(T0), Held("bars", Bar)
    with LiveRun([source, Waiting("waiting"), PlainCoordinator("c")], ("waiting",), clock).under_way() as run:
        source.give(a_bar())
        run.until_said(SetTimer)
        clock.now = T0 + 9
        source.give(a_bar())
        run.until_said(SetTimer, 2)
        assert run.said(TimerFired) == []
        clock.now = T0 + 12
        run.bus._inbox.put([])
        assert run.until_said(TimerFired) == [TimerFired("waiting", "x", T0 + 10)]
    ((record, _),) = run.told(TimerFired)
    assert (record.ts, record.source, record.cause) == (T0 + 12, 0, 0)


def test_a_slow_host_is_reported_and_slows_nobody(caplog, monkeypatch):
    monkeypatch.setattr("bus.live_watch.LAGGING", 20)
    monkeypatch.setattr("bus.live_watch._WATCH_S", 0.0)
    source, gate, sink = Held("bars", Bar), Gate("gate", {"closed_at": 1}), Sink("sink")
    with LiveRun([source, gate, sink, PlainCoordinator("c")], ("gate", "sink")).under_way() as run:
        source.give(*[a_bar(n) for n in range(50)])
        until(lambda: sink.heard == 50, 10, "the quick host's bars")
        until(lambda: "gate is 50 records behind" in caplog.text, 10, "the report")
        assert run.bus.lag() == 50
        gate.opened.set()
        until(lambda: "gate has caught up" in caplog.text, 10, "the report of the end")


def test_a_host_that_is_silent_for_too_long_ends_the_run_and_is_named():
    source, gate = Held("bars", Bar), Gate("gate", {"closed_at": 1})
    with LiveRun([source, gate, PlainCoordinator("c")], ("gate",), timeout_s=0.3).under_way() as run:
        source.give(a_bar())
        until(lambda: run.error, 10, "the end")
        gate.opened.set()
    assert isinstance(run.error, ComponentError)
    assert str(run.error) == "component 'gate' failed: did not answer within 0.3 s; is a handler blocked?"


@every_place
def test_a_component_that_raises_ends_the_run_and_is_named_with_its_traceback(apart):
    with pytest.raises(ComponentError, match=r"^component 'strategy' failed: RuntimeError: the strategy") as info:
        LiveRun(parts(Bars("bars"), raise_at=5), apart, RecordingClock(0)).to_its_end()
    assert "in on_bar" in info.value.traceback


@every_place
def test_a_source_that_raises_ends_the_run_and_is_named(apart):
    with pytest.raises(ComponentError, match=r"^component 'bars' failed: ValueError: the file ends here"):
        LiveRun(parts(Bars("bars", {"fail_at": 20})), apart, RecordingClock(0)).to_its_end()


def test_a_run_that_is_told_to_end_stops_its_streams_settles_and_completes():
    source = Held("bars", Bar)
    with LiveRun(parts(source, n=1), ("bars", "strategy")).under_way() as run:
        source.give(a_bar(0), a_bar(1))
        run.until_said(Order, 2)
    assert run.error is None
    assert run.said(StopStream) == [StopStream("bars")]
    assert run.said(EndOfStream) == [EndOfStream("bars", 2)]
    assert isinstance(run.result, RunCompleted)
    assert run.said(RunCompleted) == [run.result]


def test_a_recording_in_the_middle_of_its_stream_stops_too():
    with LiveRun(parts(Bars("bars", {"count": 10**6})), ("bars", "strategy"), RecordingClock(0)).under_way() as run:
        run.until_said(Order, 10)
    assert run.error is None
    (end,) = run.said(EndOfStream)
    assert end.count == len(run.said(Bar)) < 10**6


def test_two_recordings_are_played_in_the_order_of_their_times():
    sources = [Bars("bars", {"count": 30}), Bars("late", {"count": 10, "shift_ns": DAY_NS * 5 + 1, "symbol": "IBM"})]
    run = LiveRun([*sources, Sink("sink"), PlainCoordinator("c")], ("bars", "late"), RecordingClock(0)).to_its_end()
    times = [bar.ts for bar in run.said(Bar)]
    assert len(times) == 40
    assert times == sorted(times)


def test_an_edge_publishes_from_outside_from_any_thread_and_only_what_it_declared():
    edge = Outside("edge", Signal)
    source = Held("bars", Bar)
    with LiveRun([edge, source, PlainRisk("risk"), PlainCoordinator("c")]).under_way() as run:
        threads = [threading.Thread(target=edge.say, args=(a_signal(reason=str(n)),)) for n in range(8)]
        for thread in threads:
            thread.start()
        run.until_said(Order, 8)
        with pytest.raises(ProtocolError, match="edge published Bar, but declares that it emits Signal"):
            edge.say(a_bar())
    assert {record.cause for record, _ in run.told(Signal)} == {0}
    again = [edge, source, PlainRisk("risk"), PlainCoordinator("c")]
    assert executed_again(run.records, again, RunContext(sources=("bars",))) == run.digest


def test_nobody_sees_a_record_before_it_was_flushed_to_the_log():
    flushed: list[int] = []
    seen: list[int] = []

    class Spy(Sink):
        @handles(Bar, Signal)
        def on_any(self, message) -> None:
            seen.append(max(flushed, default=0))
            super().on_any(message)

    source = Held("bars", Bar)
    run = LiveRun([source, Spy("sink"), PlainCoordinator("c")])
    run.log.flush = lambda sealed=False: flushed.append(run.log.records)
    with run.under_way():
        source.give(a_bar(0))
        source.give(a_bar(1), a_bar(2))
        run.until_said(Bar, 3)
    assert run.error is None
    seqs = [record.seq for record, _ in run.told(Bar)]
    assert len(seqs) == 3
    assert all(at >= seq for at, seq in zip(seen, seqs, strict=True))


def test_what_is_in_the_log_is_sealed_soon_though_nothing_else_comes(tmp_path):
    wiring = Wiring(wiring_of([Sink("sink")]).members, is_live=True)
    log = LogWriter(tmp_path)
    bus = LiveBus(wiring, [], log, FakeClock(), Inbox())
    for n in range(3):
        bus.publish(Checkpoint(n))

    def unsealed() -> int:
        reader = LogReader(tmp_path)
        reader.verify()
        assert reader.records == 3
        return reader.unsealed

    assert unsealed() == 3
    until(lambda: bus.turn(0.01) or not unsealed(), 5, "a seal")
    log.close()


def test_every_so_many_messages_of_the_market_the_hub_sets_a_checkpoint(monkeypatch):
    monkeypatch.setattr("bus.live_run.CHECKPOINT_EVERY", 20)
    live = LiveRun(parts(Bars("bars", {"count": 60})), (), RecordingClock(0)).to_its_end()
    assert [message.count for message in live.said(Checkpoint)] == [20, 40, 60][: len(live.said(Checkpoint))]
    assert len(live.said(Checkpoint)) >= 2


@pytest.mark.parametrize(("late_s", "told"), [(59, ""), (61, "61 s behind the hub's clock"), (-61, "61 s before")])
def test_data_whose_time_is_not_the_hubs_are_spoken_of_once(late_s, told, caplog):
    clock, source = FakeClock(T0), Held("bars", Bar)
    with LiveRun([source, Sink("sink"), PlainCoordinator("c")], clock=clock).under_way() as run:
        source.give(*[a_bar(ts=T0 - late_s * 10**9)] * 3)
        run.until_said(Bar, 3)
    assert caplog.text.count("the data of bars are") == bool(told)
    assert told in caplog.text


def test_an_answer_to_a_record_that_is_not_there_leaves_no_gap_in_the_log():
    inbox, log = Inbox(), KeepingLog()
    bus = LiveBus(Wiring(wiring_of([Bars("bars")]).members, is_live=True), [], log, FakeClock(), inbox)
    inbox.put([Output(0, 1, TYPE_IDS[Bar], a_bar(0)), Output(7, 1, TYPE_IDS[Bar], a_bar(1))])
    with pytest.raises(ProtocolError, match="bars answered record 7; the last one is 1"):
        bus.turn(0.0)
    bus.fail(Halt("as it must"))
    log.close()
    assert [(record.seq, record.type_id) for record in log.kept] == [(1, TYPE_IDS[Bar]), (2, TYPE_IDS[Halt])]
