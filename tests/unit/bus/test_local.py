"""The local bus, whose order is the definition: one queue, components by rank, outputs in order of emission."""

from __future__ import annotations

import pytest

from bus.errors import ComponentError, ConfigError, DataError, LogError, ProtocolError
from bus.local import LocalBus
from bus.runtime.component import Component, handles
from bus.runtime.settings import RunContext
from bus.sequencer import HUB
from bus.wave import WaveBus
from schemas import Bar, ComponentFailed, Fill, Halt, Message, OrderStatus, RunStarted, Signal
from tests.support.builders import a_bar, a_fill, a_signal
from tests.support.parts import Bars, EveryNth, Sink
from tests.support.transports import EagerLog, KeepingLog, wiring_of


class Says(Component):
    """Answers a bar with the messages that it was made with, and notes what it hears."""

    emits = (Signal, Fill, OrderStatus)

    def __init__(self, name: str, *messages: Message) -> None:
        super().__init__(name)
        self.messages = messages
        self.heard: list[tuple[int, Message]] = []

    @handles(Bar)
    def on_bar(self, bar: Bar) -> None:
        self.heard.append((self.clock.now_ns, bar))
        for message in self.messages:
            self.emit(message)

    @handles(Fill, Signal)
    def on_answer(self, message: Message) -> None:
        self.heard.append((self.clock.now_ns, message))


class BrokerSays(Says):
    component_type = "broker"


class StrategySays(Says):
    component_type = "strategy"


def a_bus(*components: Component, log=None) -> tuple[LocalBus, list[Message]]:
    """An open bus with one silent source as source 1, and what is said on it in order."""
    bus = LocalBus(wiring_of([Bars("a_source", {"count": 0}), *components]), RunContext(), log)
    bus.open()
    said: list[Message] = []
    for message_type in (Bar, Fill, Signal, OrderStatus, Halt):
        bus.tap(message_type, said.append)
    return bus, said


def signals(*reasons: str) -> list[Signal]:
    return [a_signal(reason=reason) for reason in reasons]


def test_what_follows_from_a_record_is_said_by_rank_then_name_then_emission():
    one, two = signals("1", "2")
    broker = BrokerSays("z_broker", a_fill("f1"), a_fill("f2"))
    bus, said = a_bus(StrategySays("b", two), StrategySays("a", one), broker)
    bus.feed(1, [a_bar(0)])
    assert said == [a_bar(0), a_fill("f1"), a_fill("f2"), one, two]


def test_answers_to_answers_wait_until_what_was_said_before_is_heard():
    class Echo(Says):
        component_type = "risk_manager"

        def on_answer(self, message: Message) -> None:
            if isinstance(message, Fill):
                self.emit(a_signal(reason=f"after {message.fill_id}"))

    bus, said = a_bus(BrokerSays("broker", a_fill("f1"), a_fill("f2")), Echo("risk"))
    bus.feed(1, [a_bar(0), a_bar(1)])
    assert [getattr(m, "reason", None) or getattr(m, "fill_id", "bar") for m in said] == [
        *("bar", "f1", "f2", "after f1", "after f2"),
        *("bar", "f1", "f2", "after f1", "after f2"),
    ]


def test_every_component_hears_a_message_at_the_time_of_the_bar_that_it_follows_from():
    sink = Says("sink")
    bus, _ = a_bus(BrokerSays("broker", a_fill(ts=1)), sink)
    bus.feed(1, [a_bar(0), a_bar(1)])
    assert [now for now, _ in sink.heard] == [a_bar(0).ts, a_bar(0).ts, a_bar(1).ts, a_bar(1).ts]


def test_the_log_has_the_cause_of_every_record():
    log = KeepingLog()
    bus, _ = a_bus(BrokerSays("broker", a_fill("f1"), a_fill("f2")), log=log)
    bus.feed(1, [a_bar(0), a_bar(1)])
    records = log.kept
    assert [(r.seq, r.cause, r.source, r.source_seq) for r in records] == [
        *[(1, 0, 1, 1), (2, 1, 2, 1), (3, 1, 2, 2)],
        *[(4, 0, 1, 2), (5, 4, 2, 3), (6, 4, 2, 4)],
    ]


def test_a_run_that_is_not_captured_says_the_same():
    bus, said = a_bus(BrokerSays("broker", a_fill("f1")))
    bus.feed(1, [a_bar(0)])
    assert said == [a_bar(0), a_fill("f1")]
    assert bus.counts == {20: 1, 48: 1}


@pytest.mark.parametrize("log", [None, KeepingLog], ids=["uncaptured", "captured"])
def test_what_a_component_did_not_declare_is_refused_whether_a_log_is_kept_or_not(log):
    bus, said = a_bus(BrokerSays("broker", Halt("stop")), log=log and log())
    with pytest.raises(ComponentError, match="'broker' failed: broker published Halt, but declares that it emits Sig"):
        bus.feed(1, [a_bar(0)])
    assert Halt("stop") not in said


@pytest.mark.parametrize("log", [None, KeepingLog], ids=["uncaptured", "captured"])
def test_after_a_failure_what_had_its_turn_is_counted_and_nothing_else(log):
    class Stumbles(Says):
        component_type = "risk_manager"

        def on_answer(self, message: Message) -> None:
            raise RuntimeError(message)

    answers = [a_fill("f1"), a_fill("f2"), *signals("never")]
    bus, _ = a_bus(BrokerSays("broker", *answers), Stumbles("risk"), log=log and log())
    with pytest.raises(ComponentError, match="'risk' failed"):
        bus.feed(1, [a_bar(0)])
    bus.fail(Halt("it is over"))
    assert bus.counts == {10: 1, 20: 1, 48: 1}


class FullLog(EagerLog):
    """A log whose disk has room for so many records."""

    def __init__(self, room: int) -> None:
        super().__init__()
        self.room = room

    def _take(self, data, count: int) -> None:
        if self.records + count > self.room:
            raise LogError("the disk is full")
        super()._take(data, count)


@pytest.mark.parametrize("room", range(6))
def test_when_the_log_fails_no_component_is_blamed(room):
    bus, _ = a_bus(BrokerSays("broker", a_fill("f1"), a_fill("f2")), StrategySays("strategy"), log=FullLog(room))
    with pytest.raises(LogError, match=r"^the disk is full$"):
        bus.feed(1, [a_bar(0), a_bar(1)])


def test_a_source_that_goes_back_in_time_is_blamed_for_it_and_not_who_heard_it_last():
    bus, said = a_bus(StrategySays("strategy"))
    with pytest.raises(ProtocolError, match=r"^a_source went back in time"):
        bus.feed(1, [a_bar(3), a_bar(2)])
    assert said == [a_bar(3)]


@pytest.mark.parametrize("make", [lambda w, log: LocalBus(w, RunContext(), log), lambda w, log: WaveBus(w, [], log)])
def test_a_message_that_cannot_be_encoded_takes_no_number(make):
    log = KeepingLog()
    bus = make(wiring_of([Sink("sink")]), log)
    bus.declare([Halt("one")])
    with pytest.raises(TypeError):
        bus.publish(HUB, 0, RunStarted(object(), "", "", ""))
    bus.fail(Halt("two"))
    assert [record.seq for record in log.kept] == [1, 2]
    assert bus.counts == {10: 2}


def test_a_message_that_no_reader_would_accept_takes_no_number(monkeypatch):
    monkeypatch.setattr("bus.log.MAX_PAYLOAD", 99)
    log = KeepingLog()
    bus, _ = a_bus(log=log)
    bus.declare([Halt("one")])
    with pytest.raises(LogError, match=r"^a message of type 1\d* has \d+ bytes, more than the"):
        bus.publish(HUB, 0, Halt("x" * 100))
    bus.fail(Halt("two"))
    assert [record.seq for record in log.kept] == [1, 2]


@pytest.mark.parametrize("second", [a_bar(-1), a_fill(), a_bar(1, symbol=object())], ids=["late", "alien", "odd"])
def test_after_a_failure_in_the_middle_of_a_block_the_numbers_go_on_without_a_gap(second):
    log = KeepingLog()
    bus, _ = a_bus(BrokerSays("broker", a_fill()), log=log)
    with pytest.raises((ProtocolError, TypeError)):
        bus.feed(1, [a_bar(0), second])
    bus.fail(ComponentFailed("a_source", "it failed"))
    assert [record.seq for record in log.kept] == [1, 2, 3]


def test_what_a_component_raises_is_blamed_on_it():
    bus, _ = a_bus(EveryNth("strategy", {"raise_at": 2}), Sink("sink"))
    bus.feed(1, [a_bar(0)])
    with pytest.raises(ComponentError, match=r"^component 'strategy' failed: RuntimeError: the strategy has no idea$"):
        bus.feed(1, [a_bar(1)])


def test_an_error_for_the_user_keeps_its_text_and_its_exit_code():
    class Reads(Sink):
        def initialize(self, *arguments) -> None:
            raise DataError("daily.csv: row 7: no price")

    with pytest.raises(ComponentError, match=r"^component 'reader' failed: daily\.csv: row 7: no price$") as info:
        a_bus(Reads("reader"))
    assert info.value.exit_code == ConfigError.exit_code == 2


def test_an_error_of_a_tap_is_nobodys_failure():
    def refuse(_: Message) -> None:
        raise ProtocolError("not now")

    bus, _ = a_bus(StrategySays("strategy"))
    bus.tap(Bar, refuse)
    with pytest.raises(ProtocolError, match=r"^not now$"):
        bus.feed(1, [a_bar(0)])


def test_all_components_are_stopped_the_last_first_whatever_one_of_them_raises():
    stopped: list[str] = []

    class Stops(Sink):
        def stop(self) -> None:
            stopped.append(self.name)
            if self.name == "b":
                raise OSError("b holds on to its file")

    bus, _ = a_bus(Stops("a"), Stops("b"), Stops("c"))
    with pytest.raises(ComponentError, match="component 'b' failed: OSError: b holds on to its file"):
        bus.close()
    assert stopped == ["c", "b", "a"]
